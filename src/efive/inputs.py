"""What goes in: a text with a role. The only file that adds, removes or recognises a prefix."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from efive.errors import InputError, PrefixError


class Role(StrEnum):
    """What a text is for.

    Symmetric tasks (similarity, clustering, classification, bitext) use `query` on both sides.
    `raw` adds nothing: the caller has already built the model's exact input.
    """

    QUERY = "query"
    PASSAGE = "passage"
    RAW = "raw"


class Overflow(StrEnum):
    """What to do with a text that has more tokens than the model reads.

    `error` refuses it, `end` keeps its beginning, `start` keeps its end (and always the prefix),
    `chunk` embeds all of it as several windows.
    """

    ERROR = "error"
    END = "end"
    START = "start"
    CHUNK = "chunk"


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one input, prefix and special tokens included."""

    tokens_seen: int
    """Tokens that the whole text has."""
    tokens_used: int
    """Tokens that reached the model; with `chunk`, the sum over the windows (overlap counts twice)."""
    truncated: bool
    """True if some of the text reached no vector."""


INSTRUCT_TEMPLATE = "Instruct: {task}\nQuery: "
"""The query template of the instruct models (arXiv 2401.00368, section 3.1)."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """The strings a model wants before each text; `""` means nothing."""

    query: str
    """Before queries."""
    passage: str
    """Before passages."""

    @classmethod
    def instruct(cls, task: str) -> "Prompts":
        """Prompts of an instruct model: the task stands before queries, passages stay bare."""
        if not task.strip():
            raise InputError("the instruction is empty; say in one sentence what a query asks for")
        return cls(query=INSTRUCT_TEMPLATE.format(task=task.strip()), passage="")

    def of(self, role: Role) -> str:
        """Return the prefix of `role`."""
        if role is Role.RAW:
            return ""
        return self.query if role is Role.QUERY else self.passage


E5_PROMPTS = Prompts(query="query: ", passage="passage: ")

_INSTRUCT_PREFIX = re.compile(r"\s*instruct\s?:\s?[^\n]*\n\s*query\s?:\s*", re.IGNORECASE)


@lru_cache
def _prefix_pattern(prompts: Prompts) -> re.Pattern[str]:
    """Match the model's prefixes in any case, with any spacing around the colon, once or more often."""
    if not prompts.passage:
        return _INSTRUCT_PREFIX
    names = "|".join(re.escape(p.strip().removesuffix(":")) for p in (prompts.query, prompts.passage))
    return re.compile(rf"\s*(?:(?:{names})\s?:\s*)+", re.IGNORECASE)


def parse_role(value: str | Role) -> Role:
    """Return the role named by `value`.

    Raises:
        InputError: if there is no such role.
    """
    try:
        return Role(value)
    except ValueError:
        raise InputError(f"no role {value!r}; the roles are {', '.join(Role)}") from None


def parse_overflow(value: str | Overflow) -> Overflow:
    """Return the overflow policy named by `value`.

    Raises:
        InputError: if there is no such policy.
    """
    try:
        return Overflow(value)
    except ValueError:
        raise InputError(f"no overflow policy {value!r}; the policies are {', '.join(Overflow)}") from None


def prefix_length(text: str, prompts: Prompts) -> int:
    """Return how many leading characters of `text` are a known prefix of this model, or 0."""
    if not (prompts.query or prompts.passage):
        return 0
    match = _prefix_pattern(prompts).match(text)
    return match.end() if match else 0


def split_prefix(text: str, role: Role, prompts: Prompts) -> tuple[str, int]:
    """Return the prefix that the model reads before `text`, and where in `text` its own words begin.

    A prefix that is already there is replaced by the role's own, whatever its case or spacing; an
    instruction that the caller wrote before a query is kept as it is.
    """
    if role is Role.RAW:
        return "", 0
    present = prefix_length(text, prompts)
    if present and role is Role.QUERY and not prompts.passage:
        return text[:present], present
    return prompts.of(role), present


def add_prefix(text: str, role: Role, prompts: Prompts) -> str:
    """Return what the model reads for `text`: its role's prefix, once."""
    prefix, start = split_prefix(text, role, prompts)
    return prefix + text[start:]


def strip_prefix(text: str, prompts: Prompts) -> str:
    """Return `text` without a known prefix: what a user should read back."""
    return text[prefix_length(text, prompts) :]


def check_texts(texts: Iterable[object], *, first_index: int = 0) -> list[str]:
    """Return `texts` as a list of strings that a tokenizer can read.

    Raises:
        InputError: naming the index, for anything that is not a `str` and for lone surrogates.
    """
    checked: list[str] = []
    for index, text in enumerate(texts, first_index):
        if not isinstance(text, str):
            raise InputError(f"text {index} is {type(text).__name__}, not str; convert it or leave it out", index=index)
        if not text.isascii():
            _refuse_surrogates(text, index)
        checked.append(text)
    return checked


def _refuse_surrogates(text: str, index: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"text {index} has a lone surrogate (U+{ord(text[error.start]):04X}) at character {error.start}: "
            "it was decoded wrongly. Read it again with the right encoding, or repair it with "
            "text.encode('utf-8', 'replace').decode()",
            index=index,
        ) from None


def refuse_prefixed(text: str, index: int, prompts: Prompts) -> None:
    """Raise `PrefixError` if `text` already begins with a known prefix (strict mode)."""
    present = prefix_length(text, prompts)
    if present:
        raise PrefixError(
            f"text {index} already begins with {text[:present]!r}; efive adds the prefix itself. "
            "Pass the bare text, or role='raw' for a text that is already complete",
            index=index,
        )
