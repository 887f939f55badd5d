"""efive: E5 text embeddings, end to end, on your own machines."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from efive.embeddings import Embeddings
    from efive.encoder import Encoder
    from efive.errors import EfiveError, EfiveWarning
    from efive.inputs import Overflow, Role
    from efive.search.collection import Collection
    from efive.search.documents import Document
    from efive.space import Space

__version__ = "0.1.0"
__all__ = [
    "Collection",
    "Document",
    "EfiveError",
    "EfiveWarning",
    "Embeddings",
    "Encoder",
    "Overflow",
    "Role",
    "Space",
]

_ROOMS = {
    "Collection": "search.collection",
    "Document": "search.documents",
    "EfiveError": "errors",
    "EfiveWarning": "errors",
    "Embeddings": "embeddings",
    "Encoder": "encoder",
    "Overflow": "inputs",
    "Role": "inputs",
    "Space": "space",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attribute may be anything
    # Names are looked up when first used: `import efive` and `efive --help` load no engine.
    if name not in _ROOMS:
        raise AttributeError(f"module 'efive' has no attribute {name!r}")
    return getattr(import_module(f"efive.{_ROOMS[name]}"), name)
