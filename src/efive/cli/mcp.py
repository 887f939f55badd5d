"""`efive mcp`: search for language models, by the Model Context Protocol."""

import logging
import signal
import sys
from typing import Any

import click

from efive.cli.collection import collection_option, opened
from efive.cli.options import encoder_options


@click.command("mcp")
@collection_option
@encoder_options
def command(name: str, **engine: Any) -> None:  # noqa: ANN401
    """Offer search over a collection to language models, as an MCP server on standard input and output.

    Programs that use language models start this command themselves. Its tools read only: search, get_document and
    describe_collection.
    """
    from efive.search.mcp import server

    # Before the SDK sets up its own, which is for terminals.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="efive: %(message)s")
    with opened(name, engine) as collection:
        made = server(collection, name)
        if sys.stdin.isatty():
            click.echo("efive: serving MCP on standard input and output; Ctrl-C ends", err=True)
        # The SDK waits for a line of input before it heeds Ctrl-C; nothing here needs to be tidied up.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        try:
            made.run()
        except* BrokenPipeError:
            pass  # the client is gone
