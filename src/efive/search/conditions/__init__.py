"""Conditions: which documents a search may answer with, by their metadata.

    lang = "de" and year >= 2020 and (tags has "draft" or not exists(author))

| condition | true if |
|---|---|
| `field = value` | one of the field's values equals it |
| `field != value` | none does; the same as `not field = value` |
| `field < value`, `<=`, `>`, `>=` | one of the field's values is of the same type and lies there |
| `field in [value, …]`, `field not in […]` | one of the field's values is in the list; none is |
| `field has value` | the field is a list and contains it |
| `field ^= "text"` | one of the field's values is a text that begins so |
| `exists(field)` | the document has the field, be it an empty list |

A list has its elements for values, any other field has one value, a missing field has none. So every comparison with
a missing field is false, `not` is plain negation, and `year != 2000`, `not year > 2000` and `lang not in ["de"]` let
documents without the field through; add `and exists(year)` to keep them out. There is no third truth value.

Types never mix: no number equals the text "2000", and true is not 1. Whole and decimal numbers compare as numbers.
Texts are ordered by code points, upper before lower case, so dates written 2024-05-31 are in the right order.
True and false have no order.

`not` binds tighter than `and`, `and` tighter than `or`; keywords may be in any case. Texts stand in single or double
quotes with the escapes of JSON. A field's name may be dotted, `a.b` for what is nested; any name at all may stand in
backticks.
"""

from efive.search.conditions.evaluation import matches
from efive.search.conditions.language import parse, text
from efive.search.conditions.mapping import from_mapping
from efive.search.conditions.tree import And, Compare, Condition, Exists, Has, In, Not, Or, Scalar, StartsWith

__all__ = [
    "And", "Compare", "Condition", "Exists", "Has", "In", "Not", "Or", "Scalar", "StartsWith",
    "from_mapping", "matches", "parse", "text",
]  # fmt: skip
