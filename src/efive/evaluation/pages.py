"""Pages that stand alone: one HTML file, everything inside, nothing fetched, every text escaped."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from efive.errors import DependencyError

try:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
except ImportError as error:
    raise DependencyError("reports need jinja2 and matplotlib: pip install 'efive[evaluate]'") from error

_FOLDER = Path(__file__).with_name("templates")


def render(template: str, values: Mapping[str, Any]) -> str:
    """Return a template of this room filled with `values`; whatever is not Markup is escaped."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    environment.filters["plainly"] = plainly
    return environment.get_template(template).render(values)


def write(path: Path, page: str) -> None:
    """Write a page, all of it or nothing."""
    draft = path.with_name(path.name + ".part")
    draft.write_text(page, encoding="utf-8", errors="replace")  # a lone surrogate must not cost the report
    draft.replace(path)


def plainly(value: object) -> str:
    """Return a value of a record as people read it: strings as they are, the rest as JSON."""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
