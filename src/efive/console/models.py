"""Models as their page shows them: those on this server, and those that could be pulled. No pixels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from efive.console import models_card
from efive.console.hardware import Fit, Verdict, multilingual
from efive.deployments.deployment import Deployment
from efive.engines import select
from efive.engines.hardware import detect
from efive.errors import DeploymentError, EfiveError
from efive.models import checkpoint, digests
from efive.models.family import FAMILY
from efive.models.store import BUNDLED, ModelStore

Uses = Mapping[Path, Sequence[str]]
"""Names of deployments, by the folder of their model."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model on this server."""

    name: str
    folder: Path
    bytes: int
    source: str
    languages: tuple[str, ...]
    shape: str
    """Layers, dimension, tokens."""
    variant: str
    """Which engine runs it here, in which precision."""
    used: tuple[str, ...]
    """Names of the deployments that it has."""
    fault: str = ""
    """Why it cannot be used; empty where it can."""

    @property
    def removable(self) -> bool:
        """Whether it is of the store; the bundled one belongs to the program."""
        return self.name != BUNDLED


@dataclass(frozen=True, slots=True)
class Offer:
    """A published model."""

    name: str
    here: bool
    multilingual: bool
    parameters: int
    bytes: int
    """Of its weights as they are published, roughly."""
    licence: str
    verdict: Verdict


def uses(store: ModelStore, deployments: Iterable[Deployment]) -> Uses:
    """Return which deployments have which model's folder."""
    found: dict[Path, list[str]] = {}
    for deployment in deployments:
        try:
            folder = store.resolve(deployment.settings.model)
        except EfiveError:  # it is gone; the deployment says so itself
            continue
        found.setdefault(folder.resolve(), []).append(deployment.name)
    return found


def installed(store: ModelStore, used: Uses) -> list[Model]:
    """Return the models on this server, the bundled one first. Reads files."""
    names = (BUNDLED, *store.names())
    return [_model(store, name, used) for name in names if name != BUNDLED or _has_bundled(store)]


def one(store: ModelStore, name: str, used: Uses) -> Model:
    """Return one of them. Reads files.

    Raises:
        ModelNotFoundError: if there is none of that name.
    """
    if name != BUNDLED and name not in store.names():
        store.describe(name)
    return _model(store, name, used)


def _has_bundled(store: ModelStore) -> bool:
    try:
        return store.resolve(BUNDLED).is_dir()
    except EfiveError:
        return False


def _model(store: ModelStore, name: str, used: Uses) -> Model:
    folder = store.resolve(BUNDLED) if name == BUNDLED else store.models / name
    source = "this efive" if name == BUNDLED else ""
    size, shape, variant, fault = _bytes(folder), "", "", ""
    try:
        if name != BUNDLED:
            source = store.describe(name).source
        read = checkpoint.read(folder)
        architecture = read.architecture
        shape = f"{architecture.layers} layers, {architecture.hidden} dimensions, {read.max_tokens} tokens"
        choice = select.choose(architecture, detect(), "auto", "auto", None)
        variant = f"{choice.engine}, {choice.precision}, {choice.device}"
    except EfiveError as error:
        fault = str(error)
    languages = models_card.languages(models_card.read(folder), name, source)
    if name == BUNDLED and not languages:
        languages = ("multilingual",)
    mine = tuple(used.get(folder.resolve(), ()))
    return Model(name, folder, size, source, languages, shape, variant, mine, fault)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def space(store: ModelStore, model: Model) -> str:
    """Return the fingerprint of the space that a deployment of it here has. Reads all weights the first time.

    Raises:
        EfiveError: if it cannot be read.
    """
    read = checkpoint.read(model.folder)
    choice = select.choose(read.architecture, detect(), "auto", "auto", None)
    return digests.space_of(read, choice.precision, store.cache).fingerprint


def offers(store: ModelStore, verdicts: Mapping[str, Verdict]) -> list[Offer]:
    """Return the published models, those for this machine first."""
    here = set(store.names())
    found = [
        Offer(
            name,
            name in here,
            multilingual(name),
            member.parameters,
            member.parameters * (2 if name.startswith("e5-mistral") else 4),
            member.licence,
            verdicts[name],
        )
        for name, member in FAMILY.items()
    ]
    fits = list(Fit)
    return sorted(found, key=lambda each: (fits.index(each.verdict.fit), not each.multilingual))


def remove(store: ModelStore, name: str, used: Uses) -> None:
    """Delete a model's files.

    Raises:
        DeploymentError: if a deployment has it.
        ModelNotFoundError: if it is gone.
    """
    deployments = used.get((store.models / name).resolve(), ())
    if deployments:
        raise DeploymentError(
            f"{name} is the model of {', '.join(deployments)}; delete that deployment first, or let it be"
        )
    store.remove(name)
