"""`efive serve`: models behind HTTP."""

from typing import TYPE_CHECKING

import click

from efive.errors import InputError

if TYPE_CHECKING:
    from efive.deployments.settings import Settings


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="0 takes any.")
@click.option(
    "--model",
    "-m",
    "models",
    multiple=True,
    help="A stored model's name, or NAME=FOLDER.  [default: those of last time, else the bundled model]",
)
def command(host: str, port: int, models: tuple[str, ...]) -> None:
    """Serve models over HTTP."""
    from efive.cli.options import store
    from efive.server.run import Listen, run

    run(store().home, [_settings(each) for each in models], Listen(host, port))


def _settings(given: str) -> "Settings":
    from efive.deployments.settings import Settings

    name, equals, folder = given.partition("=")
    if equals and not (name and folder):
        raise InputError(f"--model {given}: write NAME=FOLDER, or a stored model's name")
    return Settings(name=name, model=folder or name)
