"""What guards every request, around a small application, on a real socket."""

import asyncio
import contextlib
import json
import logging
import socket
import threading
import time

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from efive.errors import EfiveError
from efive.server import guards
from efive.server.http import answer, make_door
from efive.server.service import Limits

MOST = 100_000
seen = []


@contextlib.contextmanager
def noted(name):
    """Note how a piece of work ended."""
    try:
        yield
    except asyncio.CancelledError:
        seen.append(f"{name} cancelled")
        raise
    seen.append(f"{name} done")


async def echo(request):
    return PlainTextResponse(str(len(await request.body())))


async def slow(request):
    body = await request.body()
    with noted("slow"):
        seen.append("slow begun")
        await asyncio.sleep(float(body or 0.3))
    return PlainTextResponse("slow")


async def stream(request):
    await request.body()

    async def parts():
        with noted("stream"):
            for _ in range(3):
                yield b"part"
                await asyncio.sleep(0.02)

    return StreamingResponse(parts())


async def later(request):
    await request.body()

    async def work():
        with noted("later"):
            await asyncio.sleep(0.1)

    return PlainTextResponse("soon", background=BackgroundTask(work))


async def broken(request):
    raise RuntimeError(await request.body())


def application():
    def problem(request, error: EfiveError, status):
        return answer({"error": str(error)}, status)

    routes = [
        Route(f"/{endpoint.__name__}", endpoint, methods=["GET", "POST", "HEAD"])
        for endpoint in (echo, slow, stream, later, broken)
    ]
    mounts = {"/door": make_door([*routes, Route("/", echo, methods=["POST"])], problem)}
    app = Starlette(
        routes=[Mount(path, door) for path, door in mounts.items()],
        middleware=guards.stack(Limits(body=MOST), mounts),
    )
    app.router.redirect_slashes = False
    return app


@pytest.fixture(scope="module")
def address():
    server = uvicorn.Server(uvicorn.Config(application(), port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()
    server.should_exit = True
    thread.join(120)
    assert not thread.is_alive()


@pytest.fixture
def client(address):
    seen.clear()
    with httpx.Client(base_url=f"http://127.0.0.1:{address[1]}/door", timeout=120) as client:
        yield client


def until(condition):
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, seen
        time.sleep(0.01)


def chunks(n):
    for _ in range(n // 1000):
        yield b"x" * 1000


@pytest.mark.parametrize("content", [b"x" * (MOST + 1), b"x" * 50_000_000, chunks(MOST + 1000), chunks(2_000_000)])
def test_too_large_a_body_is_refused_whether_it_says_so_or_not(client, content):
    refused = client.post("/echo", content=content)
    assert refused.status_code == 413
    assert f"more than {MOST} bytes" in refused.json()["error"]
    assert len(refused.headers["x-request-id"]) == 16
    assert client.post("/echo", content=b"x" * MOST).text == str(MOST)
    assert client.post("/echo", content=chunks(MOST)).text == str(MOST)


def test_requests_have_an_id_their_own_if_they_bring_a_harmless_one(client, caplog):
    with caplog.at_level(logging.INFO, "efive.access"):
        own = client.post("/echo?text=secret", content=b"secret", headers={"x-request-id": "run-7.a_b"})
        made = [client.post("/echo", headers={"x-request-id": "no spaces"}) for _ in range(2)]
        assert client.post("/broken", content=b"secret", headers={"x-request-id": "oops"}).status_code == 500
        asked = {"run-7.a_b", *(each.headers["x-request-id"] for each in made), "oops"}

        def lines():  # of these requests: another server's last answer may be noted only now
            found = [vars(record) for record in caplog.records if record.name == "efive.access"]
            return [each for each in found if each["request"] in asked]

        until(lambda: len(lines()) == 4)  # a line is written behind its answer
    assert own.headers["x-request-id"] == "run-7.a_b"
    assert len({each.headers["x-request-id"] for each in (own, *made)}) == 3
    first, *_, last = lines()
    assert [(each["request"], each["method"], each["path"], each["status"]) for each in (first, last)] == [
        ("run-7.a_b", "POST", "/door/echo", 200),
        ("oops", "POST", "/door/broken", 500),
    ]
    assert "unexpected RuntimeError" in caplog.text
    assert "secret" not in caplog.text + json.dumps([vars(record) for record in caplog.records], default=str)


@pytest.mark.parametrize("path", ["/door", "/door/", "//door", "//door//echo", "/door/echo"])
def test_addresses_are_taken_as_clients_write_them(address, client, path):
    found = httpx.post(f"http://127.0.0.1:{address[1]}{path}", content=b"12345")
    assert (found.status_code, found.text) == (200, "5")


def test_work_ends_with_its_client(address, client):
    with socket.create_connection(address) as connection:
        connection.sendall(b"POST /door/slow HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n999")
        until(lambda: "slow begun" in seen)
    until(lambda: "slow cancelled" in seen)
    with socket.create_connection(address) as connection:  # in the middle of its body
        connection.sendall(b"POST /door/slow HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n3")
        time.sleep(0.05)
    with socket.create_connection(address) as connection:  # in the middle of the answer
        connection.sendall(b"POST /door/stream HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        connection.recv(10)
    until(lambda: "stream cancelled" in seen or "stream done" in seen)
    assert seen.count("slow begun") == 1
    assert client.post("/echo").status_code == 200


def test_the_next_request_of_a_connection_is_not_the_end_of_the_one_before(address, client):
    request = b"POST /door/slow HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n0.1"
    with socket.create_connection(address) as connection:
        connection.sendall(request * 2 + request.replace(b"host: x", b"host: x\r\nconnection: close"))
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert (seen.count("slow done"), seen.count("slow cancelled")) == (3, 0)


def test_answers_of_every_kind_come_through_whole(client):
    assert client.get("/stream").text == client.post("/stream").text == "part" * 3
    assert client.head("/echo").status_code == 200
    for _ in range(3):
        assert client.post("/later").text == "soon"
    until(lambda: seen.count("later done") == 3)  # what a door does behind its answer is not broken off
    broken = client.post("/broken")
    assert (broken.status_code, "secret" in broken.text) == (500, False)
    assert client.post("/echo", content=b"1").text == "1"
    assert not [each for each in seen if "cancelled" in each]
