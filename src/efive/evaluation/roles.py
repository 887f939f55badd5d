"""With which prefix each side of a task is embedded. It moves figures by points, so it is decided here and recorded."""

from collections.abc import Mapping

from efive.errors import InputError
from efive.evaluation.tasks import Task, kind_of
from efive.inputs import Role

POLICIES: dict[str, tuple[Role, Role] | None] = {
    "standard": None,
    "symmetric": (Role.QUERY, Role.QUERY),
    "asymmetric": (Role.QUERY, Role.PASSAGE),
    "none": (Role.RAW, Role.RAW),
}
"""`standard` is what E5's published figures were made with: retrieval is asymmetric, but for Quora, and all else is
symmetric. `none` gives what mteb reports since 1.36 for all else, above all for bitext."""
_SIDES = {
    "retrieval": ("queries", "documents"),
    "reranking": ("queries", "candidates"),
    "bitext": ("left", "right"),
    "similarity": ("left", "right"),
    "classification": ("texts", "texts"),
    "clustering": ("texts", "texts"),
}


def roles_of(task: Task, prefixes: Mapping[str, str]) -> tuple[Role, Role]:
    """Return the roles of the two sides of a task.

    Args:
        task: any.
        prefixes: policies by name or kind of task; `standard` where neither is named.

    Raises:
        InputError: for a policy that does not exist.
    """
    policy = prefixes.get(task.about.name, prefixes.get(kind_of(task), "standard"))
    if policy not in POLICIES:
        raise InputError(f"no prefix policy {policy!r}; the policies are {', '.join(POLICIES)}")
    return POLICIES[policy] or _standard(task)


def _standard(task: Task) -> tuple[Role, Role]:
    # Quora's documents are questions too.
    quora = any("quora" in name.lower() for name in (task.about.name, *task.about.sources))
    return Role.QUERY, Role.PASSAGE if kind_of(task) == "retrieval" and not quora else Role.QUERY


def described(task: Task, roles: tuple[Role, Role]) -> dict[str, str]:
    """Return the roles as `TaskResult.roles` has them."""
    return dict(zip(_SIDES[kind_of(task)], map(str, roles), strict=True))
