import asyncio
import sys
from importlib import import_module

import pytest

from efive import Collection, Document, Encoder
from efive.errors import DependencyError, InputError
from efive.search.asking import SearchOptions
from efive.search.documents import Section

pytest.importorskip("langchain_core", reason="langchain-core is not installed")

from langchain_core.runnables import ConfigurableField, RunnableLambda
from pydantic import ValidationError

from efive.search.langchain import EfiveRetriever

MOON = "The moon is 384,000 kilometres away.\nIt has no air."


@pytest.fixture
def collection(bert, tmp_path):
    with Encoder.load(bert, precision="fp32") as encoder, Collection.open(tmp_path / "notes", encoder) as collection:
        collection.add([
            Document("moon.md", MOON, {"lang": "en", "score": 7}, [Section(37, len(MOON), ("Sky", "Moon"), 3)]),
            Document("lilac.md", "Der Flieder blüht im Mai.", {"lang": "de"}),
            Document("glue.md", "Press the patch on the tube with glue.", {"lang": "en", "tags": ["bicycle"]}),
        ])  # fmt: skip
        yield collection


def test_documents_are_the_collections_hits(collection):
    hits = collection.search("Where is air on the moon?", 3)
    found = EfiveRetriever(collection=collection, k=3).invoke("Where is air on the moon?")
    assert [(d.page_content, d.metadata["document"], d.metadata["score"], d.metadata["cosine"]) for d in found] == [
        (hit.passage.text, hit.document, hit.score, hit.cosine) for hit in hits
    ]
    moon = next(d for d in found if d.metadata["document"] == "moon.md")
    assert moon.page_content == "It has no air."
    assert moon.id == "moon.md:37-51"
    own = {"document", "start", "end", "line", "page", "headings", "score", "cosine", "confidence"}
    assert set(moon.metadata) == own | {"lang"}
    told = {name: moon.metadata[name] for name in ("lang", "start", "end", "line", "page", "headings", "confidence")}
    assert told == {
        "lang": "en", "start": 37, "end": 51, "line": 2, "page": 3, "headings": ["Sky", "Moon"], "confidence": None,
    }  # fmt: skip


def test_a_chain_invokes_batches_and_awaits(collection):
    def cite(documents):
        return "; ".join(f"{d.page_content} ({d.metadata['document']})" for d in documents)

    chain = EfiveRetriever(collection=collection, k=1, mode="text") | RunnableLambda(cite)
    questions = ["Wann blüht der Flieder?", "glue for a tube", "air"] * 4
    answers = ["Der Flieder blüht im Mai. (lilac.md)", "Press the patch on the tube with glue. (glue.md)"]
    answers = [*answers, "It has no air. (moon.md)"] * 4
    assert [chain.invoke(question) for question in questions[:3]] == answers[:3]
    assert chain.batch(questions) == answers
    assert asyncio.run(chain.abatch(questions)) == answers


def test_options_of_a_call_go_before_the_retrievers(collection):
    retriever = EfiveRetriever(collection=collection, where={"lang": "en"})
    by_call = retriever.invoke("moon", where="lang = 'de'")
    awaited = asyncio.run(retriever.ainvoke("moon", where="lang = 'de'"))
    adjustable = retriever.configurable_fields(k=ConfigurableField("k"))
    assert {d.metadata["document"] for d in retriever.invoke("moon")} == {"moon.md", "glue.md"}
    assert [d.metadata["document"] for d in by_call] == [d.metadata["document"] for d in awaited] == ["lilac.md"]
    assert len(adjustable.with_config(configurable={"k": 1}).invoke("moon")) == 1


def test_it_takes_all_options_and_no_others(collection):
    assert {"collection", "k", *SearchOptions.__annotations__} <= set(EfiveRetriever.model_fields)
    with pytest.raises(ValidationError, match="min_confidnce"):
        EfiveRetriever(collection=collection, min_confidnce=0.5)
    with pytest.raises(InputError, match="no option 'min_confidnce'"):
        EfiveRetriever(collection=collection).invoke("moon", min_confidnce=0.5)


def test_without_langchain_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "langchain_core.retrievers", None)
    monkeypatch.delitem(sys.modules, "efive.search.langchain")
    with pytest.raises(DependencyError, match=r"pip install 'efive\[langchain\]'"):
        import_module("efive.search.langchain")
