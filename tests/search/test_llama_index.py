import asyncio
import sys
from importlib import import_module

import pytest

from efive import Collection, Document, Encoder
from efive.errors import DependencyError, InputError
from efive.search.documents import Section

pytest.importorskip("llama_index.core", reason="llama-index-core is not installed")

from llama_index.core.llms import MockLLM
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.retrievers.fusion_retriever import FUSION_MODES
from llama_index.core.schema import MetadataMode, QueryBundle

from efive.search.llama_index import EfiveRetriever

MOON = "The moon is 384,000 kilometres away.\nIt has no air."


@pytest.fixture
def collection(bert, tmp_path):
    with Encoder.load(bert, precision="fp32") as encoder, Collection.open(tmp_path / "notes", encoder) as collection:
        collection.add([
            Document("moon.md", MOON, {"lang": "en"}, [Section(37, len(MOON), ("Sky", "Moon"), 3)]),
            Document("lilac.md", "Der Flieder blüht im Mai.", {"lang": "de", "document": "theirs"}),
            Document("glue.md", "Press the patch on the tube with glue.", {"lang": "en"}),
        ])  # fmt: skip
        yield collection


def test_nodes_are_the_collections_hits(collection):
    hits = collection.search("Where is air on the moon?", 3)
    found = EfiveRetriever(collection, 3).retrieve(QueryBundle("Where is air on the moon?"))
    assert [(n.text, n.score, n.node.ref_doc_id, n.metadata["cosine"]) for n in found] == [
        (hit.passage.text, hit.score, hit.document, hit.cosine) for hit in hits
    ]
    moon = next(n.node for n in found if n.node.ref_doc_id == "moon.md")
    assert (moon.node_id, moon.start_char_idx, moon.end_char_idx) == ("moon.md:37-51", 37, 51)
    assert {name: value for name, value in moon.metadata.items() if name != "cosine"} == {
        "lang": "en", "document": "moon.md", "line": 2, "page": 3, "headings": ["Sky", "Moon"], "confidence": None,
    }  # fmt: skip


def test_models_read_where_it_is_and_embed_the_text(collection):
    moon, lilac = (EfiveRetriever(collection, 1, mode="text").retrieve(q)[0].node for q in ("air", "Flieder"))
    assert moon.get_content(MetadataMode.LLM) == (
        "lang: en\ndocument: moon.md\nline: 2\npage: 3\nheadings: ['Sky', 'Moon']\n\nIt has no air."
    )
    assert lilac.get_content(MetadataMode.LLM) == "lang: de\ndocument: lilac.md\nline: 1\n\nDer Flieder blüht im Mai."
    assert lilac.get_content(MetadataMode.EMBED) == "lang: de\n\nDer Flieder blüht im Mai."


def test_it_works_below_llama_indexs_own_retrievers(collection):
    parts = [EfiveRetriever(collection, 2, where=f"lang = '{lang}'") for lang in ("en", "de")]
    fused = QueryFusionRetriever(
        parts, MockLLM(), similarity_top_k=3, mode=FUSION_MODES.RECIPROCAL_RANK, num_queries=1, use_async=False
    )
    assert {n.node.ref_doc_id for n in fused.retrieve("moon")} == {"moon.md", "glue.md", "lilac.md"}


def test_it_awaits_without_holding_up_the_event_loop(collection):
    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def retrieve():
        task = asyncio.create_task(others())
        found = await EfiveRetriever(collection, 1, where="lang = 'de'").aretrieve("moon")
        task.cancel()
        return [n.node.ref_doc_id for n in found]

    assert asyncio.run(retrieve()) == ["lilac.md"]
    assert turns


def test_errors_are_the_collections(collection):
    with pytest.raises(InputError, match="no mode 'fuzzy'"):
        EfiveRetriever(collection, mode="fuzzy").retrieve("moon")


def test_without_llama_index_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "llama_index.core.base.base_retriever", None)
    monkeypatch.delitem(sys.modules, "efive.search.llama_index")
    with pytest.raises(DependencyError, match=r"pip install 'efive\[llama-index\]'"):
        import_module("efive.search.llama_index")
