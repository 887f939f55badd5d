"""`efive serve`: models behind HTTP."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from efive.errors import DependencyError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.applications import Starlette

    from efive.deployments.settings import Settings


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="0 takes any.")
@click.option(
    "--es-port",
    type=click.IntRange(0, 65_535),
    help="A port of its own for Elasticsearch's API, at its root; 0 takes any.",
)
@click.option(
    "--model",
    "-m",
    "models",
    multiple=True,
    help="A stored model's name, or NAME=FOLDER; may be given again.  [default: those of last time, else the bundled]",
)
@click.option("--allocations", type=click.IntRange(1, 64), default=1, show_default=True, help="Engines of each model.")
@click.option("--threads", type=click.IntRange(min=1), help="Processors of each engine.  [default: all, shared out]")
@click.option("--precision", default="auto", show_default=True, help="As `efive embed` has it.")
@click.option("--tls-certificate", type=click.Path(path_type=Path), help="PEM file; with --tls-key, speaks HTTPS.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="PEM file of the certificate's private key.")
@click.option("--traces", help="Send OpenTelemetry traces to this OTLP address, http://…/v1/traces.")
@click.option("--without-keys", is_flag=True, help="Let everybody in who reaches an address that is not local.")
@click.option("--without-console", is_flag=True, help="No pages in a browser; they are at /console otherwise.")
def command(  # noqa: PLR0913, PLR0917 - options, each by its name
    host: str,
    port: int,
    es_port: int | None,
    models: tuple[str, ...],
    allocations: int,
    threads: int | None,
    precision: str,
    tls_certificate: Path | None,
    tls_key: Path | None,
    traces: str | None,
    without_keys: bool,  # noqa: FBT001
    without_console: bool,  # noqa: FBT001
) -> None:
    """Serve models over HTTP, to the clients that people already have.

    Doors: /openai/v1, /tei, /pinecone, /samba, /es; our own routes are at the root, and /docs shows them. Deployments,
    collections and keys are kept below $EFIVE_HOME and are there again after a restart.
    """
    needs_server()
    from efive.cli.options import store
    from efive.server.app import Options
    from efive.server.run import Listen, run

    settings = tuple(_settings(each, allocations, threads, precision) for each in models)
    listen = Listen(host, port, tls_certificate, tls_key, without_keys, es_port)
    mounts = {} if without_console else _console()
    options = Options(store().home, settings, traces=traces, any_name=without_keys, mounts=mounts)

    def announce(url: str, elastic: str | None) -> None:
        places = ", ".join([f"docs: {url}/docs", *(f"console: {url}{path}" for path in options.mounts)])
        also = "" if elastic is None else f"; for Elasticsearch's clients: {elastic}"
        click.echo(f"efive: {url} ({places}){also}", err=True)

    run(options, listen, announce)


def _console() -> "Mapping[str, Starlette]":
    """Return the pages for a browser, if their packages are installed."""
    if find_spec("nicegui") is None:
        return {}
    from efive.console import mount

    return {mount.PATH: mount.door()}


def _settings(given: str, allocations: int, threads: int | None, precision: str) -> "Settings":
    from efive.deployments.settings import Settings
    from efive.models.store import BUNDLED

    name, equals, folder = given.partition("=")
    if equals and not (name and folder):
        raise InputError(f"--model {given}: write NAME=FOLDER, or a stored model's name")
    if not equals and ("/" in name or "\\" in name):
        raise InputError(f"--model {given}: a folder needs a name that clients call it by: NAME={given}")
    model, path = folder or name, Path(folder or name).expanduser()
    if model != BUNDLED and path.is_dir():
        model = str(path.resolve())  # the server may be started again from elsewhere
    return Settings(name=name, model=model, allocations=allocations, threads=threads, precision=precision)


def needs_server() -> None:
    """Refuse politely if the server's packages are not installed."""
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise DependencyError("the server needs some packages more: pip install 'efive[serve]'")
