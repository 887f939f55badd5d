"""The command line: data on stdout, everything else on stderr, one file per family of verbs."""

import sys
from importlib import import_module
from typing import IO, Any

import click

from efive import __version__
from efive.errors import EfiveError

# A command's module is imported when the command is used, so that --help is instant.
_COMMANDS = {
    "index": ("index", "Index files and folders."),
    "search": ("search", "Ask a collection."),
    "collections": ("collections", "List, look into, tidy, export and remove collections."),
    "migrate": ("migrate", "Embed a collection with another model."),
    "serve": ("serve", "Serve models over HTTP to the clients that people have."),
    "mcp": ("mcp", "Offer search to language models (MCP)."),
    "import-model": ("import_model", "Upload a model to a server, as a trained model of Elasticsearch."),
    "keys": ("keys", "Make, list and revoke the server's keys."),
    "embed": ("embed", "Turn texts into vectors."),
    "similarity": ("similarity", "Compare texts with each other."),
    "models": ("models", "List, fetch, check, move and remove models."),
    "evaluate": ("evaluate", "Measure a model on tasks with known answers."),
    "compare": ("compare", "Say where two runs differ, and whether it is chance."),
    "monitor": ("monitor", "Say what a log of queries tells."),
    "data": ("data", "Look at training data before it is trained on."),
    "train": ("train", "Train an E5 model."),
    "mine": ("mine", "Find hard negatives for training sets."),
    "filter": ("filter", "Keep the pairs that a model finds again."),
    "tokenizer": ("tokenizer", "Train vocabularies and measure them."),
    "trim-vocab": ("trim", "Cut a model down to the vocabulary of some texts."),
    "doctor": ("doctor", "Say what this machine is and how efive uses it."),
}


class _Failure(click.ClickException):
    """One line on stderr, exit code 1."""

    def show(self, file: IO[str] | None = None) -> None:
        click.echo(f"efive: {self.message}", file=file, err=file is None)


class _LazyGroup(click.Group):
    """A group that knows its commands' names and summaries without importing them."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run a command; what efive or the system refuses is one line and exit code 1, Ctrl-C is exit code 130."""
        try:
            return super().invoke(ctx)
        except EfiveError as error:
            raise _Failure(str(error)) from error
        except BrokenPipeError:
            raise  # the reader has seen enough: click ends quietly
        except OSError as error:
            raise _Failure(str(error)) from error
        except KeyboardInterrupt:
            click.echo("efive: interrupted", err=True)
            sys.exit(130)

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
    """Run the command line."""
    cli(prog_name="efive")
