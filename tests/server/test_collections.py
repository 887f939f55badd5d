"""Collections of a server, whose clients may go away at any time."""

import asyncio
import threading

from efive.deployments.manager import Deployments
from efive.deployments.settings import Settings
from efive.deployments.state import State
from efive.models.store import ModelStore
from efive.search.documents import Document
from efive.server.collections import Collections


def test_a_write_whose_client_has_gone_keeps_its_turn_and_takes_no_other_s(bert, tmp_path):
    release, written = threading.Event(), []

    def write(collection):
        written.append(collection.path.name)
        assert release.wait(60)
        collection.add([Document("1", "one")])

    async def test(collections):
        await collections.write("a", lambda collection: collection.add([Document("1", "one")]), "tiny")
        impatient = []
        for _ in range(6):  # one after the other, as a client that tries again
            impatient.append(asyncio.ensure_future(collections.write("a", write)))
            while not written:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.01)
            impatient[-1].cancel()
        deleting = asyncio.ensure_future(collections.delete("a"))
        added = await collections.write("b", lambda collection: collection.add([Document("1", "one")]), "tiny")
        assert (added.new, collections.names()) == (1, ["a", "b"])
        release.set()
        await deleting
        assert all(
            isinstance(each, asyncio.CancelledError)
            for each in await asyncio.gather(*impatient, return_exceptions=True)
        )
        assert (written, collections.names()) == (["a"], ["b"])

    async def served():
        state = State(tmp_path / "server.sqlite")
        deployments = Deployments(ModelStore(tmp_path), state)
        collections = Collections(tmp_path / "collections", deployments)
        try:
            deployments.create(Settings(name="tiny", model=str(bert), precision="fp32", threads=1))
            await deployments.start("tiny")
            async with asyncio.timeout(60):
                await test(collections)
        finally:
            release.set()
            await deployments.close()
            await collections.close()
            state.close()

    asyncio.run(served())
