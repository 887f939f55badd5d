"""`efive import-model`: a model folder into a server's trained models, as `eland_import_hub_model` does it."""

import base64
import json
import re
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from efive.cli.options import bar_settings, store
from efive.cli.serve import needs_server
from efive.errors import EfiveError, InputError

_PART = 8 << 20
_SECONDS = 300


@click.command("import-model")
@click.argument("model")
@click.option("--url", required=True, help="The server's Elasticsearch address, http://localhost:8080/es.")
@click.option("--api-key", help="A key of the server with the scope manage.")
@click.option("--id", "model_id", help="The model's id there.  [default: made of MODEL, as eland makes it]")
@click.option("--start", is_flag=True, help="Start a deployment of it.")
@click.option("--clear-previous", is_flag=True, help="Delete a model of this id first, with its deployment.")
@click.option("--ingest-prefix", help="Put before passages; '' for nothing.  [default: the model's own]")
@click.option("--search-prefix", help="Put before queries; '' for nothing.  [default: the model's own]")
def command(  # noqa: PLR0913, PLR0917 - options, each by its name
    model: str,
    url: str,
    api_key: str | None,
    model_id: str | None,
    start: bool,  # noqa: FBT001
    clear_previous: bool,  # noqa: FBT001
    ingest_prefix: str | None,
    search_prefix: str | None,
) -> None:
    """Upload MODEL, a folder or the name of a stored model, to a server of efive, as a trained model of Elasticsearch.

    It does what eland_import_hub_model does, without torch: the weights travel as they are. The server must be
    efive's; for Elasticsearch's own, use eland.
    """
    needs_server()
    from efive.models import checkpoint
    from efive.server.elastic.models import bundled

    read = checkpoint.read(store().resolve(model))
    passage = read.prompts.passage if ingest_prefix is None else ingest_prefix
    query = read.prompts.query if search_prefix is None else search_prefix
    read = replace(read, prompts=replace(read.prompts, query=query, passage=passage))
    id_ = model_id or _derived(model)
    server = _Server(url.rstrip("/"), api_key)
    one = f"/_ml/trained_models/{quote(id_, safe='')}"
    if server.call("GET", one, missing=True) is not None:
        if not clear_previous:
            raise InputError(
                f"{url} has a trained model {id_} already; --clear-previous replaces it, --id names another"
            )
        server.call("POST", f"{one}/deployment/_stop")
        server.call("DELETE", one)
    body = bundled.configuration(id_, read)
    server.call("PUT", one, {name: value for name, value in body.items() if value})
    with tempfile.TemporaryDirectory() as folder:
        bundle = _bundle(read, Path(folder), id_)
        for number, part in enumerate(_parts(bundle)):
            server.call("PUT", f"{one}/definition/{number}", part)
    if start:
        server.call("POST", f"{one}/deployment/_start?timeout={_SECONDS}s")
    click.echo(f"imported: {id_}" + (", started" if start else ""))


def derived_id(model: str) -> str:
    """Return the id that eland makes of a folder or a hub's id: lower case, at most its last 64 characters."""
    return re.sub(r"[\s\\/]", "__", model).lower()[-64:].removeprefix("__")


def _derived(model: str) -> str:
    from efive.server.elastic.errors import ElasticError
    from efive.server.elastic.models import configs

    id_ = derived_id(model)
    try:
        configs.check_id(id_)
    except ElasticError:
        raise InputError(f"{model} makes the id {id_!r}, which no trained model can have; --id gives another") from None
    return id_


def _bundle(read: Any, folder: Path, id_: str) -> Path:  # noqa: ANN401 - a Checkpoint, not imported here
    """Write the model as one file, its prefixes as they shall be."""
    from efive.models import bundles, checkpoint

    checkpoint.write(read, folder / "model")
    bundles.export_bundle(folder / "model", folder / "bundle", source=f"elasticsearch:{id_}", revision="")
    return folder / "bundle"


def _parts(bundle: Path) -> Iterator[dict[str, Any]]:
    from tqdm import tqdm

    size = bundle.stat().st_size
    totals = {"total_definition_length": size, "total_parts": -(-size // _PART)}
    with bundle.open("rb") as file, closing(tqdm(total=size, unit="B", unit_scale=True, **bar_settings())) as bar:
        while part := file.read(_PART):
            yield {"definition": base64.b64encode(part).decode(), **totals}
            bar.update(len(part))


@dataclass(frozen=True, slots=True)
class _Server:
    """The server's Elasticsearch door."""

    url: str
    api_key: str | None

    def call(self, method: str, path: str, body: object = None, *, missing: bool = False) -> Any:  # noqa: ANN401 - JSON
        """Return the answer to a request; None for what is not there, if that may be.

        Raises:
            EfiveError: what the server says.
        """
        headers = {"content-type": "application/json"}
        if self.api_key:
            headers["authorization"] = f"ApiKey {self.api_key}"
        if not self.url.startswith(("http://", "https://")):
            raise InputError(f"--url {self.url}: an address begins with http:// or https://")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - checked above
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code == 404 and missing:
                error.close()
                return None
            with error:
                raise EfiveError(f"{self.url} answers {error.code}: {_reason(error.read())}") from None
        except (OSError, ValueError, HTTPException) as error:
            raise EfiveError(f"{self.url} cannot be reached: {getattr(error, 'reason', error)}") from None


def _reason(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["error"]["reason"])
    except (ValueError, KeyError, TypeError):
        return answer[:200].decode(errors="replace")
