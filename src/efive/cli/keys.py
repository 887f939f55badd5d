"""`efive keys`: who may use this machine's server."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from efive.cli.serve import needs_server
from efive.errors import InputError

if TYPE_CHECKING:
    from efive.deployments.state import State


@click.group("keys")
def command() -> None:
    """Make, list and revoke the keys of this machine's server; a running one sees a change when it starts again."""
    needs_server()


@command.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, default=["embed"], show_default=True, help="embed, search, manage.")
@click.option("--requests-per-minute", type=click.IntRange(min=1))
@click.option("--tokens-per-minute", type=click.IntRange(min=1))
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="A file with the key, such as a mounted secret; it replaces the keys of this name.",
)
def create(
    name: str,
    scopes: tuple[str, ...],
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    key_file: Path | None,
) -> None:
    """Make a key and print it: this is the only time that it can be seen."""
    from efive.server.access import Access

    given = _given(key_file) if key_file else None
    with closing(_state()) as state:
        key, secret = Access(state).create(
            name,
            scopes,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            secret=given,
            replace=given is not None,
        )
    if given is None:
        click.echo(secret)
    click.echo(f"efive: key {key.id} for {', '.join(key.scopes)}; keep it, only its hash is kept here", err=True)
    click.echo("efive: a server that runs takes it when it starts again", err=True)


@command.command("list")
def list_keys() -> None:
    """List the keys, without what they are."""
    from efive.server.access import Access

    with closing(_state()) as state:
        for key in Access(state).all():
            click.echo(f"{key.id}\t{key.name}\t{','.join(key.scopes)}")


@command.command()
@click.argument("id_", metavar="ID")
def revoke(id_: str) -> None:
    """Revoke a key."""
    from efive.server.access import Access

    with closing(_state()) as state:
        if not Access(state).revoke(id_):
            raise InputError(f"there is no key {id_!r}; `efive keys list` shows them")
    click.echo(f"efive: a server that runs takes it until it starts again, or until DELETE /keys/{id_}", err=True)


def _given(file: Path) -> str:
    if not file.is_file():
        raise InputError(f"{file} is not a file")
    return file.read_text(encoding="utf-8", errors="replace").strip()


def _state() -> "State":
    from efive.cli.options import store
    from efive.deployments.state import State

    return State(store().home / "server.sqlite")
