"""What the console has going on in the background, from the server's start to its end."""

import asyncio

from efive.console import context, evaluation, training
from efive.console.collections_indexing import Indexings
from efive.server.service import Service


class Work:
    """All of it. Jobs that had not ended when the server did go on."""

    def __init__(self, service: Service) -> None:
        self.indexings = Indexings()
        self.trainings = training.make_jobs(service)
        self.evaluations = evaluation.make_jobs(service)
        for jobs in (self.trainings, self.evaluations):
            jobs.resume()
        self._tidying = asyncio.ensure_future(training.tidy(self.trainings))

    async def close(self) -> None:
        """Stop working; jobs go on with the server's next start."""
        await self._tidying
        await self.indexings.close()
        await self.trainings.close()
        await self.evaluations.close()


def current() -> Work:
    """Return what goes on in the server of this page."""
    return context.kept(Work)
