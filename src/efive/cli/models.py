"""`efive models`: the models on this machine."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from efive.cli.options import bar_settings, store
from efive.errors import InputError, ModelFileError

if TYPE_CHECKING:
    from efive.models.store import StoredModel


@click.group("models")
def command() -> None:
    """List, fetch, check, move and remove models."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_models(as_json: bool) -> None:  # noqa: FBT001
    """List the stored models, and the published ones that could be pulled."""
    from efive.models.family import FAMILY

    stored = {model.name: model for model in store().list()}
    for name in [*stored, *(name for name in FAMILY if name not in stored)]:
        model, known = stored.get(name), FAMILY.get(name)
        millions = f"{known.parameters / 1e6:.0f} M" if known else ""
        if as_json:
            row = {"name": name, "stored": model is not None, "parameters": known.parameters if known else None}
            click.echo(json.dumps(row | ({"source": model.source, "revision": model.revision} if model else {})))
        else:
            state = f"{_size(model.bytes)} {model.source} {model.revision[:8]}".rstrip() if model else "not here"
            click.echo(f"{name:<32} {millions:>8}  {state}")


@command.command()
@click.argument("model", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(model: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Show a model: shape, prefixes, limits, and the fingerprint of its space at each precision.

    MODEL is a stored name or a folder; without it, the bundled model is shown.
    """
    from efive.engines.base import Precision
    from efive.models.checkpoint import read
    from efive.models.digests import space_of

    models = store()
    checkpoint = read(models.resolve(model))
    shape = checkpoint.architecture
    facts = {
        "folder": str(checkpoint.folder),
        "kind": str(shape.kind),
        "layers": shape.layers,
        "dimension": shape.hidden,
        "vocabulary": shape.vocabulary,
        "max_tokens": checkpoint.max_tokens,
        "pooling": checkpoint.pooling,
        "query_prefix": checkpoint.prompts.query,
        "passage_prefix": checkpoint.prompts.passage,
    }
    spaces = {str(p): space_of(checkpoint, p, models.cache).fingerprint for p in Precision}
    if as_json:
        click.echo(json.dumps(facts | {"spaces": spaces}))
        return
    for key, value in facts.items():
        click.echo(f"{key:<16} {value!r}" if "prefix" in key else f"{key:<16} {value}")
    for precision, fingerprint in spaces.items():
        click.echo(f"space at {precision:<7} {fingerprint}")


@command.command()
@click.argument("name")
@click.option("--revision", default="main", show_default=True, help="Branch, tag or commit; the commit is recorded.")
@click.option("--endpoint", help="A mirror of the hub.  [default: the hub, or $HF_ENDPOINT]")
def pull(name: str, revision: str, endpoint: str | None) -> None:
    """Fetch a model from the Hugging Face hub. The only command that uses the network.

    NAME is a family name (multilingual-e5-small) or an id (owner/model). After an interrupted pull the same
    command keeps the files that are complete.
    """
    _say("stored", store().pull(name, revision=revision, endpoint=endpoint))


@command.command("export-bundle")
@click.argument("model")
@click.argument("bundle", type=click.Path(path_type=Path))
def export_bundle(model: str, bundle: Path) -> None:
    """Write MODEL as one file with checksums, for a machine without a network."""
    from efive.models import bundles
    from efive.models.store import MANIFEST, read_manifest

    folder = store().resolve(model)
    manifest = read_manifest(folder) if (folder / MANIFEST).is_file() else {"source": str(folder.name), "revision": ""}
    with _bytes_bar(folder) as progress:
        bundles.export_bundle(
            folder, bundle, source=manifest["source"], revision=manifest["revision"], progress=progress
        )
    click.echo(f"efive: wrote {bundle}, {_size(bundle.stat().st_size)}", err=True)


@command.command("import")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--name", help="Store it under this name.  [default: the bundle's own]")
def import_bundle(bundle: Path, name: str | None) -> None:
    """Check a bundle file, or a model folder, and put its model into the store.

    An older model of the same name is replaced if it came from the same source, and else kept.
    """
    from efive.models import bundles

    models = store()
    if bundle.is_dir():
        _say("stored", models.copy(bundle, name or bundle.resolve().name))
        return
    with _bytes_bar(bundle) as progress:
        _say("stored", bundles.import_bundle(bundle, models, name=name, progress=progress))


@command.command()
@click.argument("name", required=False)
def verify(name: str | None) -> None:
    """Compare the files of a stored model (or of all) with their checksums."""
    models = store()
    names = [name] if name else [model.name for model in models.list()]
    if not names:
        raise InputError("no model is stored; `efive models pull` and `efive models import` bring one")
    damaged = []
    for each in names:
        try:
            with _bytes_bar(models.models / each) as progress:
                _say("intact", models.verify(each, progress))
        except ModelFileError as error:
            damaged.append(f"{error}. `efive models pull` or `efive models import` brings {each} anew")
    if damaged:
        raise ModelFileError("\nefive: ".join(damaged))


@command.command()
@click.argument("name")
@click.confirmation_option(prompt="Delete the model's files?")
def remove(name: str) -> None:
    """Delete a stored model."""
    _say("removed", store().remove(name))


def _say(what: str, model: "StoredModel") -> None:
    click.echo(f"{what}: {model.name}, {_size(model.bytes)}, {model.source} {model.revision[:8]}".rstrip())


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


@contextmanager
def _bytes_bar(path: Path) -> Iterator[Callable[[int], None]]:
    from tqdm import tqdm

    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    total = sum(p.stat().st_size for p in files)
    with closing(tqdm(total=total, unit="B", unit_scale=True, **bar_settings())) as bar:
        yield bar.update
