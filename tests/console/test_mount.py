"""How the console comes into a server that already answers."""

import subprocess
import sys

STARTED = """
import asyncio, sys
from pathlib import Path

looked = []
sys.addaudithook(lambda event, _: looked.append(event) if event.startswith("gc.get_") else None)

import httpx
from efive.console import mount
from efive.server.app import Options, build

async def main():
    app = build(Options(Path(sys.argv[1]), mounts={mount.PATH: mount.door()}))
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            answer = await client.get("/console/", follow_redirects=True)
            print(answer.status_code, "nicegui" in answer.text)
    print(looked)

asyncio.run(main())
"""


def test_nobody_looks_at_what_other_threads_are_building(tmp_path):
    """`gc.get_objects` makes CPython fail a tuple that another thread has half done."""
    done = subprocess.run(
        [sys.executable, "-c", STARTED, str(tmp_path)], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == ["200 True", "[]"], done.stderr[-2000:]
