"""What clients call a model, and which deployment and role that is."""

from efive.errors import ModelNotFoundError
from efive.inputs import Role
from efive.models import family

_ROLES = {f":{role}": role for role in Role}
_OWNERS = ("intfloat/", "sentence-transformers/")


def split_role(name: str) -> tuple[str, Role | None]:
    """Return the name without `:query`, `:passage` or `:raw`, and that role."""
    for suffix, role in _ROLES.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix), role
    return name, None


def find(name: str, deployed: dict[str, str]) -> str:
    """Return the name of the deployment that `name` means.

    Args:
        name: as the client gave it, without a role; the owner of a hub's model may stand before it, in any case.
        deployed: the deployments' names, each with its model's name or folder.

    Raises:
        ModelNotFoundError: with the command that would bring it.
    """
    if name in deployed:
        return name
    plain = _plain(name)
    for each, model in deployed.items():
        if plain in {_plain(each), _plain(model)}:
            return each
    raise ModelNotFoundError(_advice(name, plain, sorted(deployed)))


def _plain(name: str) -> str:
    name = name.lower()
    for owner in _OWNERS:
        name = name.removeprefix(owner)
    return name


def _advice(name: str, plain: str, deployed: list[str]) -> str:
    here = f"This server has {', '.join(deployed)}" if deployed else "This server has no models yet"
    known = next((member for member in family.FAMILY if member.lower() == plain), None)
    if known:
        return f"{name} is not deployed here. `efive models pull {known}`, then `efive serve --model {known}`. {here}"
    return f"no model is called {name!r} here. {here}"
