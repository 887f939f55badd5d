"""Names of indices, and expressions that mean several."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from efive.server.elastic.errors import ElasticError, no_index

_FORBIDDEN = ('"', "*", "\\", "<", "|", ",", ">", "/", "?", " ")
LONGEST_COLLECTION = 200
"""Bytes of a collection's name; one that was made otherwise may be longer than that of a new index."""
_LONGEST = 190
"""Bytes: a file system takes 255 of a name, and the collections of fields have longer names than their index."""


def check(name: str) -> None:
    """Refuse what cannot be the name of a new index.

    Raises:
        ElasticError: saying why, in Elasticsearch's words.
    """
    if fault := _fault(name):
        raise ElasticError(400, "invalid_index_name_exception", f"Invalid index name [{name}], {fault}")


def _fault(name: str) -> str:
    size = len(name.encode(errors="surrogatepass"))
    listed = ",".join(f"'{each}'" for each in _FORBIDDEN)
    faults = {
        "must not be empty": not name,
        "must not contain characters that cannot be printed": not name.isprintable(),
        f"must not contain the following characters [{listed}]": any(each in name for each in _FORBIDDEN),
        "must not contain '#'": "#" in name,
        "must not contain ':'": ":" in name,
        "must not start with '_', '-', or '+'": name.startswith(("_", "-", "+")),
        "must not start with '.': such names are the system's": name.startswith("."),
        "must be lowercase": name != name.lower(),
        f"index name is too long, ({size} > {_LONGEST})": size > _LONGEST,
    }
    return next((fault for fault, found in faults.items() if found), "")


def meant(
    expression: str, names: Sequence[str], *, ignore_unavailable: bool = False, allow_no_indices: bool = True
) -> list[str]:
    """Return the names that an expression means: commas, wildcards, `_all`, `-name` to leave one out.

    Raises:
        ElasticError: for a name that there is none of, or where nothing is left and that is not allowed.
    """
    found: dict[str, None] = {}
    wild = False
    for part in expression.split(","):
        each = "*" if part == "_all" or not expression else part
        if each.startswith("-") and wild:
            found = {name: None for name in found if not fnmatchcase(name, _pattern(each[1:]))}
        elif "*" in each:
            wild = True
            found |= {name: None for name in names if fnmatchcase(name, _pattern(each))}
        elif each in names:
            found[each] = None
        elif not ignore_unavailable:
            raise no_index(each)
    if not found and not allow_no_indices:
        raise no_index(expression)
    return list(found)


def means_all(expression: str) -> bool:
    """Say whether an expression means all indices, whatever their names, or all but some."""
    return any(part == "_all" or not part.strip("*") for part in expression.split(","))


def _pattern(wildcard: str) -> str:
    """Return a wildcard with nothing special in it but stars."""
    return wildcard.replace("[", "[[]").replace("?", "[?]")
