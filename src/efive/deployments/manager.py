"""All deployments of a server: started, changed and stopped while others run, and remembered."""

import asyncio
from collections.abc import Iterator

import msgspec

from efive.deployments import catalog, settings
from efive.deployments.deployment import Deployment, Phase
from efive.deployments.settings import Settings
from efive.deployments.state import State
from efive.errors import DeploymentError, EfiveError, ModelNotFoundError, NotReadyError
from efive.inputs import Role
from efive.models.store import ModelStore

_KIND = "deployment"
_FIXED = ("name", "model", "engine", "precision", "device", "task", "max_tokens", "threads")
"""Settings that make it another deployment."""


class Record(msgspec.Struct, frozen=True):
    """What is kept of a deployment."""

    settings: Settings
    running: bool = True
    """Whether it is to be started with the server."""


class Deployments:
    """Deployments by name. Used on the event loop."""

    def __init__(self, store: ModelStore, state: State) -> None:
        self._store = store
        self._state = state
        self._all: dict[str, Deployment] = {}
        self._starting: dict[str, asyncio.Task[None]] = {}

    def __iter__(self) -> Iterator[Deployment]:
        return iter(tuple(self._all.values()))

    def __len__(self) -> int:
        return len(self._all)

    def get(self, name: str) -> Deployment:
        """Return a deployment by exactly its name.

        Raises:
            ModelNotFoundError: if there is none.
        """
        if name not in self._all:
            raise ModelNotFoundError(f"there is no deployment {name!r}")
        return self._all[name]

    def find(self, name: str) -> tuple[Deployment, Role | None]:
        """Return the deployment that a client means by `name`, and the role if the name says one.

        Raises:
            ModelNotFoundError: with the command that would bring the model.
        """
        plain, role = catalog.split_role(name)
        if plain in self._all:
            return self._all[plain], role
        known = {each.name: each.settings.model for each in self}
        return self._all[catalog.find(plain, known)], role

    def restore(self) -> list[str]:
        """Make the deployments known that the state remembers; return the names of those to start."""
        records = self._state.all(_KIND, Record)
        for name, record in records.items():
            self._all.setdefault(name, Deployment(record.settings))
        return [name for name, record in records.items() if record.running]

    def create(self, wanted: Settings, *, keep: bool = True) -> Deployment:
        """Make a deployment known, in place of a stopped one of its name; `start` starts it.

        Args:
            wanted: what it is to be.
            keep: whether the state remembers it.

        Raises:
            InputError: if the settings cannot be.
            ModelNotFoundError: if the model is not on this machine.
            DeploymentError: if one of that name is at work.
        """
        settings.check(wanted)
        self._store.resolve(wanted.model)
        present = self._all.get(wanted.name)
        if present is not None and present.phase not in {Phase.STOPPED, Phase.FAILED}:
            raise DeploymentError(f"{wanted.name} is {present.phase} already; stop it first, or choose another name")
        deployment = self._all[wanted.name] = Deployment(wanted)
        if keep:
            self._state.put(_KIND, wanted.name, Record(wanted, running=False))
        return deployment

    async def start(self, name: str) -> Deployment:
        """Start a deployment and wait until it is ready; one that is ready stays as it is.

        Raises:
            DeploymentError: if it is being stopped, or is stopped before it is ready.
            EfiveError: why it cannot be started.
        """
        deployment = self.start_soon(name)
        if task := self._starting.get(name):
            await asyncio.wait([task])  # which goes on if this caller does not
            if task.cancelled():
                raise NotReadyError(f"{name} was stopped before it was ready")
            task.result()
        return deployment

    def start_soon(self, name: str) -> Deployment:
        """Start a deployment without waiting; its phase and reason tell what became of it.

        Raises:
            DeploymentError: if it is being stopped.
        """
        deployment = self.get(name)
        if deployment.phase is Phase.READY or name in self._starting:
            return deployment
        if deployment.phase is Phase.STOPPING:
            raise DeploymentError(f"{name} is stopping; start it again when it has stopped")
        deployment.announce()
        self._remember(deployment, running=True)
        task = self._starting[name] = asyncio.ensure_future(self._start(deployment))

        def started(task: "asyncio.Task[None]") -> None:
            del self._starting[name]
            if not task.cancelled():
                task.exception()  # the deployment knows; those who waited for it have heard

        task.add_done_callback(started)
        return deployment

    async def _start(self, deployment: Deployment) -> None:
        try:
            folder = await asyncio.to_thread(self._store.resolve, deployment.settings.model)
        except EfiveError as error:
            deployment.fail(str(error))
            raise
        await deployment.start(folder)

    async def _end_start(self, name: str) -> None:
        """Break off a start; its deployment has no engines then."""
        if task := self._starting.get(name):
            task.cancel()
            await asyncio.wait([task])

    async def update(self, name: str, wanted: Settings) -> Deployment:
        """Change a deployment that may be running: its allocations, limits and priority.

        Raises:
            InputError: if the settings cannot be.
            DeploymentError: if another model, engine or precision is asked for, or more than the memory holds.
        """
        deployment = self.get(name)
        settings.check(wanted)
        for field in _FIXED:
            if getattr(wanted, field) != getattr(deployment.settings, field):
                raise DeploymentError(f"{field} cannot change while {name} exists; delete it and make another one")
        await deployment.update(wanted)
        self._remember(deployment)
        return deployment

    async def stop(self, name: str, *, drain: bool = True) -> Deployment:
        """Stop a deployment; the server's next start leaves it stopped. Goes on if the caller is cancelled."""
        deployment = self.get(name)
        self._remember(deployment, running=False)
        await asyncio.shield(asyncio.ensure_future(self._stop(deployment, drain=drain)))
        return deployment

    async def _stop(self, deployment: Deployment, *, drain: bool) -> None:
        await self._end_start(deployment.name)
        await deployment.stop(drain=drain)

    async def delete(self, name: str) -> None:
        """Stop a deployment and forget it. Goes on if the caller is cancelled."""
        await asyncio.shield(asyncio.ensure_future(self._delete(name)))

    async def _delete(self, name: str) -> None:
        deployment = await self.stop(name)
        while deployment.phase is not Phase.STOPPED:  # somebody has started it in this moment
            await self._stop(deployment, drain=True)
        if self._all.get(name) is deployment:  # and not another one that has taken its name
            self._state.remove(_KIND, name)
            del self._all[name]

    async def close(self) -> None:
        """Drain and stop everything; what ran is started again with the server."""
        await asyncio.gather(*(self._stop(deployment, drain=True) for deployment in self))

    def _remember(self, deployment: Deployment, *, running: bool | None = None) -> None:
        """Keep its settings, if the state knows it, and whether it is to run: None leaves that as it was."""
        if (known := self._state.get(_KIND, deployment.name, Record)) is not None:
            wanted = known.running if running is None else running  # one that has failed is still to run
            self._state.put(_KIND, deployment.name, Record(deployment.settings, wanted))
