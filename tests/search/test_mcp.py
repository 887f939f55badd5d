import asyncio
import json
import os
import signal
import subprocess
import sys
from importlib import import_module

import pytest
from click.testing import CliRunner

from efive import Collection, Document, Encoder
from efive.cli import cli
from efive.errors import DependencyError
from efive.search.documents import Section

pytest.importorskip("mcp.server.mcpserver", reason="mcp 2 is not installed")

from mcp import Client, StdioServerParameters, stdio_client

from efive.search.mcp import MOST_CHARACTERS, server

START = [sys.executable, "-c", "from efive.cli import main; main()", "mcp"]
MOON = "The moon is 384,000 kilometres away.\nIt has no air."


@pytest.fixture
def collection(bert, tmp_path):
    with Encoder.load(bert, precision="fp32") as encoder, Collection.open(tmp_path / "notes", encoder) as collection:
        collection.add([
            Document("moon.md", MOON, {"lang": "en", "year": 1969}, [Section(37, len(MOON), ("Sky", "Moon"))]),
            Document("sky.pdf", "Stars are far away.", {"lang": "en", "draft": True}, [Section(0, 19, page=4)]),
            Document("notes.jsonl#7", "Der Flieder blüht im Mai.", {"lang": "de", "tags": ["garden", "may"]}),
            Document("long.txt", "Zeile\n" * 5_000, {"lang": "de"}),
        ])  # fmt: skip
        yield collection


@pytest.fixture
def arguments(bert, collection, tmp_path):
    """Of a process that serves the same collection."""
    return [*START, "-c", f"{tmp_path}/notes", "-m", str(bert), "--precision", "fp32", "--threads", "1"]


@pytest.fixture
def call(collection):
    """Call a tool of a server in this process; return whether it failed, its text, and its structured content."""

    def run(tool, **given):
        async def ask():
            async with Client(server(collection, "notes")) as client:
                result = await client.call_tool(tool, given)
                return bool(result.is_error), result.content[0].text, result.structured_content

        return asyncio.run(ask())

    return run


def test_a_client_starts_the_command_and_searches(arguments, collection, tmp_path):
    async def ask():
        # Everything of the environment: the test's own home too.
        parameters = StdioServerParameters(command=arguments[0], args=arguments[1:], env=dict(os.environ))
        with (tmp_path / "stderr").open("w") as errors:
            async with Client(stdio_client(parameters, errlog=errors)) as client:
                tools = (await client.list_tools()).tools
                given = {"query": "Where is air on the moon?", "k": 3}
                found = await client.call_tool("search", given)
                wrong = await client.call_tool("search", {"query": "moon", "where": "lang ="})
                return client.instructions, tools, found, wrong

    instructions, tools, found, wrong = asyncio.run(ask())
    assert "notes" in instructions
    assert {tool.name for tool in tools} == {"search", "get_document", "describe_collection"}
    assert all(tool.annotations.read_only_hint for tool in tools)
    hits = collection.search("Where is air on the moon?", 3)
    assert [hit["document"] for hit in found.structured_content["hits"]] == [hit.document for hit in hits]
    assert [hit["score"] for hit in found.structured_content["hits"]] == [pytest.approx(hit.score) for hit in hits]
    assert wrong.is_error
    assert "the condition breaks at column 7" in wrong.content[0].text
    assert (tmp_path / "stderr").read_text() == ""


def test_stdout_carries_the_protocol_alone_and_interrupting_ends_it(arguments):
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    messages = [
        {"id": 1, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": {"name": "search", "arguments": {"query": "query: moon"}}},
    ]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(arguments, **pipes, text=True) as process:
        try:
            for message in messages:
                print(json.dumps({"jsonrpc": "2.0", **message}), file=process.stdin, flush=True)
            answers = [json.loads(process.stdout.readline()) for _ in range(2)]
            process.send_signal(signal.SIGINT)
            assert process.wait(240) == -signal.SIGINT
            assert process.stdout.read() == ""
            assert "efive: warning: text 0 already begins with 'query: '" in process.stderr.read()
        finally:
            process.kill()
    assert [answer["id"] for answer in answers] == [1, 2]
    assert "moon.md" in answers[1]["result"]["content"][0]["text"]


def test_without_a_collection_it_ends_with_a_sentence(tmp_path):
    done = CliRunner().invoke(cli, ["mcp", "-c", f"{tmp_path}/none"], prog_name="efive")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"efive: there is no collection at {tmp_path}/none; `efive index` makes one\n"


def test_hits_can_be_quoted(call):
    failed, text, structured = call("search", query="moon air", mode="text")
    assert not failed
    assert text == "[1] moon.md:2; Sky › Moon\n(document moon.md, characters 37 to 51)\nIt has no air."
    (hit,) = structured["hits"]
    assert {name: hit[name] for name in ("place", "passage", "headings", "document", "start", "end", "metadata")} == {
        "place": "moon.md:2", "passage": "It has no air.", "headings": ["Sky", "Moon"],
        "document": "moon.md", "start": 37, "end": 51, "metadata": {"lang": "en", "year": 1969},
    }  # fmt: skip
    places = [hit["place"] for hit in call("search", query="moon", mode="dense")[2]["hits"]]
    assert set(places) == {"moon.md:2", "sky.pdf, page 4", "notes.jsonl#7", "long.txt:1"}
    assert call("search", query="glue", mode="text") == (False, "Nothing found.", {"hits": []})


def test_options_arrive(call):
    german = call("search", query="moon", k=1, where="tags has 'may'")[2]["hits"]
    assert [hit["document"] for hit in german] == ["notes.jsonl#7"]
    assert len(call("search", query="moon", k=2)[2]["hits"]) == 2


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"query": " "}, "the query is empty"),
        ({"query": "moon", "min_confidence": 0.5}, "is not calibrated"),
        ({"query": "moon", "k": 51}, "less than or equal to 50"),
    ],
)
def test_what_is_wrong_is_said(call, given, sentence):
    failed, text, _ = call("search", **given)
    assert failed
    assert sentence in text


def test_documents_are_read_in_parts(call):
    assert call("get_document", id="moon.md")[1] == MOON
    failed, text, structured = call("get_document", id="moon.md", start=37, end=43)
    assert not failed
    assert text == "It has\n\n[characters 37 to 43 of 51]"
    assert structured["text"] == "It has"
    first = call("get_document", id="long.txt", end=29_000)[2]
    assert (len(first["text"]), first["end"], first["length"]) == (MOST_CHARACTERS, MOST_CHARACTERS, 30_000)
    rest = call("get_document", id="long.txt", start=first["end"])[2]
    assert first["text"] + rest["text"] == "Zeile\n" * 5_000
    assert "there is no document 'none.md'" in call("get_document", id="none.md")[1]
    assert (
        "nothing lies from character 51 to 60; the document has 51"
        in (call("get_document", id="moon.md", start=51, end=60)[1])
    )


def test_the_collection_is_described(call, collection):
    _, _, structured = call("describe_collection")
    assert structured["documents"] == structured["sampled"] == 4
    assert structured["passages"] == collection.stats().passages
    assert not structured["confidence"]
    fields = {
        field["name"]: (field["types"], sorted(field["examples"]), field["documents"]) for field in structured["fields"]
    }
    assert fields == {
        "draft": (["boolean"], [True], 1),
        "lang": (["text"], ["de", "en"], 4),
        "tags": (["list of texts"], ["garden", "may"], 1),
        "year": (["number"], [1969], 1),
    }


def test_without_mcp_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mcp.server.mcpserver", None)
    monkeypatch.delitem(sys.modules, "efive.search.mcp")
    with pytest.raises(DependencyError, match=r"pip install 'efive\[mcp\]'"):
        import_module("efive.search.mcp")
