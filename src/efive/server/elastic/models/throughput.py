"""How many texts a minute each deployment embeds: looked at every few seconds."""

import asyncio
import contextlib
import time
from collections import deque

from efive.deployments.deployment import Deployment, Phase
from efive.deployments.manager import Deployments

_LOOK = 5.0
_MINUTE = 60.0


class Throughput:
    """Watches deployments. Used on the event loop."""

    def __init__(self, deployments: Deployments) -> None:
        self._deployments = deployments
        self._seen: dict[str, deque[tuple[float, int]]] = {}
        self._peaks: dict[str, int] = {}
        self._watching = asyncio.ensure_future(self._watch())

    def lately(self, deployment: Deployment) -> tuple[int, int]:
        """Return the texts of the last minute, and the most that a minute has had."""
        self._look(deployment)
        seen = self._seen[deployment.name]
        return seen[-1][1] - seen[0][1], self._peaks.get(deployment.name, 0)

    async def _watch(self) -> None:
        while True:
            for deployment in self._deployments:
                self._look(deployment)
            await asyncio.sleep(_LOOK)

    def _look(self, deployment: Deployment) -> None:
        now, rows = time.monotonic(), embedded(deployment)
        seen = self._seen.setdefault(deployment.name, deque([(now, 0)]))
        if seen[-1][1] > rows:  # it was started anew
            seen.clear()
        seen.append((now, rows))
        while len(seen) > 2 and seen[1][0] < now - _MINUTE:
            seen.popleft()
        self._peaks[deployment.name] = max(self._peaks.get(deployment.name, 0), rows - seen[0][1])

    async def close(self) -> None:
        """Stop watching."""
        self._watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watching


def embedded(deployment: Deployment) -> int:
    """Return the texts that a deployment's engines have computed since its start."""
    return deployment.scheduler.tally.rows if deployment.phase is Phase.READY else 0
