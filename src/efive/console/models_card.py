"""Model cards: what their front matter says, and their text as HTML that is safe to show."""

import re
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from efive.models import family

_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*\n", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LANGUAGE = re.compile(r"^languages?:[ \t]*(.*)\n((?:[ \t]*-[ \t].*\n)*)", re.MULTILINE)
_CODE = re.compile(r"[A-Za-z][A-Za-z-]{1,11}")
_LONGEST = 200_000
"""Characters of a card that are shown; the published ones have megabytes of results before their text."""
_LINKS = ("http://", "https://", "mailto:", "#")
_PLACE = "card-"
"""Begins the ids of a card's headings: those of the page are other ones."""


def read(folder: Path) -> str:
    """Return a model's card, or nothing."""
    try:
        return (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def languages(card: str, *hints: str) -> tuple[str, ...]:
    """Return the codes of the languages that a card's front matter names, else what the model's name says.

    Args:
        card: with its front matter.
        *hints: the model's name, where it is from.
    """
    front = _FRONT.match(card)
    found = _LANGUAGE.search(front[1] + "\n") if front else None
    codes = _CODE.findall(found[1] + found[2]) if found else []
    if codes:
        return tuple(dict.fromkeys(code for code in codes if code != "multilingual")) or ("multilingual",)
    member = family.member_of_path(*hints)
    if member is None:
        return ()
    return ("multilingual",) if member.name.startswith("multilingual") else ("en",)


def shown(codes: Sequence[str]) -> str:
    """Return languages in a few words."""
    if not codes:
        return "not said"
    return ", ".join(codes) if len(codes) <= 6 else f"{len(codes)} languages"


def html(card: str) -> str:
    """Return a card's text as HTML: of its own HTML nothing, no pictures, links only to the web.

    Its headings begin at the third level, below those of the page.
    """
    text = _COMMENT.sub("", _FRONT.sub("", card))
    cut = text[:_LONGEST] + ("\n\n…" if len(text) > _LONGEST else "")
    tokens = _MARKDOWN.parse(cut)
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    _name_places(tokens)
    return str(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


def _name_places(tokens: Sequence[Token]) -> None:
    """Give the headings that the card's own links lead to an id, as the hub makes them."""
    links = [part for token in tokens for part in token.children or () if part.type == "link_open"]
    wanted = {str(link.attrs.get("href", "")) for link in links}
    for heading, text in pairwise(tokens):
        name = re.sub(r"[^\w -]", "", text.content.lower()).replace(" ", "-")
        if heading.type == "heading_open" and f"#{name}" in wanted:
            heading.attrs["id"] = _PLACE + name


def _picture(
    renderer: RendererHTML,  # noqa: ARG001 - markdown-it's signature
    tokens: Sequence[Token],
    number: int,
    options: OptionsDict,  # noqa: ARG001
    environment: EnvType,  # noqa: ARG001
) -> str:
    return f"[{escape(tokens[number].content or 'picture')}]"


def _link(
    renderer: RendererHTML, tokens: Sequence[Token], number: int, options: OptionsDict, environment: EnvType
) -> str:
    token = tokens[number]
    address = str(token.attrs.get("href", ""))
    if not address.lower().startswith(_LINKS):
        token.attrs.pop("href", None)
    elif address.startswith("#"):
        token.attrs["href"] = f"#{_PLACE}{address[1:]}"
    token.attrs["rel"] = "noopener noreferrer nofollow"
    return str(renderer.renderToken(tokens, number, options, environment))


_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_MARKDOWN.add_render_rule("image", _picture)
_MARKDOWN.add_render_rule("link_open", _link)
