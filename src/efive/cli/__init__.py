"""The command line: data on stdout, everything else on stderr, one file per family of verbs."""

import sys
from importlib import import_module

import click

from efive import __version__
from efive.errors import EfiveError

# A command's module is imported when the command is used, so that --help is instant.
_COMMANDS = {
    "embed": ("embed", "Turn texts into vectors."),
    "similarity": ("similarity", "Compare texts with each other."),
    "models": ("models", "List, fetch, check, move and remove models."),
    "doctor": ("doctor", "Say what this machine is and how efive uses it."),
}


class _LazyGroup(click.Group):
    """A group that knows its commands' names and summaries without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"efive.cli.{_COMMANDS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="efive")
def cli() -> None:
    """E5 text embeddings, end to end, on your own machines."""


def main() -> None:
    """Run the command line; errors that efive raises on purpose are one line and exit code 1."""
    try:
        cli(prog_name="efive")
    except EfiveError as error:
        click.echo(f"efive: {error}", err=True)
        sys.exit(1)
