"""The options of a processor, read one by one; what nobody read is refused by name."""

from collections.abc import Callable
from typing import Any

from efive.server.elastic.errors import ElasticError
from efive.server.elastic.pipelines.document import Document, java_type, template

_NEEDED: Any = object()


def mistaken(reason: str) -> ElasticError:
    """Return the error of a pipeline that is not written as it must be."""
    return ElasticError(400, "parse_exception", reason)


class Options:
    """What stands in a processor's braces."""

    def __init__(self, type_: str, given: Any) -> None:  # noqa: ANN401 - JSON
        """Take them, to be read once each."""
        if not isinstance(given, dict):
            raise mistaken(f"processor [{type_}] must have an object of options, not [{java_type(given)}]")
        self.type = type_
        self.tag: str | None = None
        self._left = dict(given)

    def take(self, name: str, type_: type | tuple[type, ...], default: Any = _NEEDED) -> Any:  # noqa: ANN401
        """Return an option, which must be of a JSON type.

        Raises:
            ElasticError: if it is of another, or has no default and is not there.
        """
        value = self._left.pop(name, None)
        if value is None:
            if default is _NEEDED:
                raise mistaken(f"[{name}] required property is missing")
            return default
        if not isinstance(value, type_) or (isinstance(value, bool) and type_ is not bool and type_ is not object):
            wanted = {str: "string", bool: "boolean", int: "int", list: "list", dict: "map"}.get(type_)  # type: ignore[arg-type]
            raise mistaken(f"[{name}] property isn't a {wanted or 'string or list'}, but of type [{java_type(value)}]")
        return value

    def string(self, name: str, default: Any = _NEEDED) -> Any:  # noqa: ANN401 - str, or what the default is
        """Return a string."""
        return self.take(name, str, default)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return true or false."""
        return bool(self.take(name, bool, default))

    def strings(self, name: str, default: Any = _NEEDED) -> list[str]:  # noqa: ANN401
        """Return a string or a list of strings as a list."""
        value = self.take(name, (str, list), default)
        found = [value] if isinstance(value, str) else list(value)
        if not all(isinstance(each, str) for each in found):
            raise mistaken(f"[{name}] property isn't a list of strings")
        return found

    def path(self, name: str = "field") -> Callable[[Document], str]:
        """Return what names a field; it may have templates in it."""
        return template(self.string(name))

    def has(self, name: str) -> bool:
        """Say whether an option is given and has not been read."""
        return name in self._left

    def done(self) -> None:
        """Refuse what is left.

        Raises:
            ElasticError: naming it.
        """
        if self._left:
            named = ", ".join(sorted(self._left))
            raise mistaken(
                f"processor [{self.type}] doesn't support one or more provided configuration parameters [{named}]"
            )
