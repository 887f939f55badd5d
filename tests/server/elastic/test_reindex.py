"""Work on many documents: what is copied, changed and deleted, what conflicts, how it is watched and cancelled."""

import asyncio
import threading
import time

import numpy as np
import pytest
from elasticsearch import ApiError, BadRequestError, ConflictError, NotFoundError, helpers

from efive.server.elastic.reindexing.copying import Change

pytestmark = pytest.mark.filterwarnings(  # of tasks, which Elastic calls a preview
    "ignore::elasticsearch.exceptions.GeneralAvailabilityWarning"
)
COUNTERS = ("total", "created", "updated", "deleted", "noops", "version_conflicts", "batches")


def counted(answer, **expected):
    """All counters of an answer are those that are expected, the others 0; nothing failed."""
    assert {name: answer[name] for name in COUNTERS} == dict.fromkeys(COUNTERS, 0) | {"batches": 1} | expected
    assert answer["failures"] == []
    assert answer["timed_out"] is False


def fill(client, index, count, **fields):
    documents = [{"_index": index, "_id": str(n), "n": n, "even": n % 2 == 0, **fields} for n in range(count)]
    helpers.bulk(client, documents, refresh=True)


def sources(client, index):
    hits = client.search(index=index, size=1000, source_exclude_vectors=False)["hits"]["hits"]
    return {hit["_id"]: hit["_source"] for hit in hits}


# -- _reindex ---------------------------------------------------------------------------------------------------------


def test_documents_are_copied_and_counted(es):
    fill(es, "from", 10)
    answer = es.reindex(source={"index": "from"}, dest={"index": "to"})
    counted(answer, total=10, created=10)
    assert sources(es, "to") == sources(es, "from")
    counted(es.reindex(source={"index": "from"}, dest={"index": "to"}), total=10, updated=10)
    assert es.get(index="to", id="3")["_version"] == 2


def test_a_query_the_most_documents_and_the_fields_are_as_the_source_says(es):
    fill(es, "chosen", 10)
    source = {"index": ["chosen"], "query": {"term": {"even": True}}, "_source": ["n"], "size": 2}
    counted(es.reindex(source=source, dest={"index": "chosen-copy"}), total=5, created=5, batches=3)
    assert sources(es, "chosen-copy") == {str(n): {"n": n} for n in range(0, 10, 2)}
    counted(es.reindex(source={"index": "chosen"}, dest={"index": "few"}, max_docs=3), total=3, created=3)
    without = {"index": "chosen", "_source": {"excludes": ["ev*"]}}
    es.reindex(source=without, dest={"index": "without"})
    assert sources(es, "without")["1"] == {"n": 1}


def test_a_copy_gets_its_vectors_from_a_pipeline_or_from_its_mapping(es):
    texts = {"1": "cats sleep all day", "2": "the stock market fell"}
    helpers.bulk(es, [{"_index": "texts", "_id": id_, "text": text} for id_, text in texts.items()], refresh=True)
    pair = {"input_field": "text", "output_field": "vector"}
    es.ingest.put_pipeline(id="vectors", processors=[{"inference": {"model_id": "e5", "input_output": pair}}])
    es.indices.create(index="vectors", mappings={"properties": {"vector": {"type": "dense_vector", "dims": 384}}})
    counted(es.reindex(source={"index": "texts"}, dest={"index": "vectors", "pipeline": "vectors"}), total=2, created=2)
    made = sources(es, "vectors")["1"]["vector"]
    wanted = es.inference.inference(inference_id="e5", input=[texts["1"]], input_type="ingest")
    assert np.abs(np.array(made) - np.array(wanted["text_embedding"][0]["embedding"])).max() < 1e-6
    es.indices.create(
        index="meanings", mappings={"properties": {"text": {"type": "semantic_text", "inference_id": "e5"}}}
    )
    counted(es.reindex(source={"index": "texts"}, dest={"index": "meanings"}), total=2, created=2)
    found = es.search(index="meanings", query={"semantic": {"field": "text", "query": "when do animals rest"}})
    assert found["hits"]["hits"][0]["_id"] == "1"


def test_the_default_and_the_final_pipeline_of_the_destination_are_used(es):
    fill(es, "plain", 2)
    es.ingest.put_pipeline(id="default", processors=[{"set": {"field": "by", "value": "default"}}])
    es.ingest.put_pipeline(id="final", processors=[{"set": {"field": "last", "value": True}}])
    es.indices.create(index="piped", settings={"index.default_pipeline": "default", "index.final_pipeline": "final"})
    es.reindex(source={"index": "plain"}, dest={"index": "piped"})
    assert sources(es, "piped")["0"] == {"n": 0, "even": True, "by": "default", "last": True}
    for name in ("default", "final"):
        with pytest.raises(BadRequestError, match=rf"\[{name}\] cannot be deleted because it is the {name} pipeline"):
            es.ingest.delete_pipeline(id=name)
    es.reindex(source={"index": "plain"}, dest={"index": "piped", "pipeline": "_none"})
    assert sources(es, "piped")["0"] == {"n": 0, "even": True, "last": True}


def test_a_pipeline_can_drop_move_and_rename_documents(es):
    fill(es, "mixed", 4)
    processors = [
        {"drop": {"if": "ctx.n == 0"}},
        {"set": {"field": "_index", "value": "odd", "if": "!ctx.even"}},
        {"set": {"field": "_id", "value": "doc-{{n}}"}},
    ]
    es.ingest.put_pipeline(id="sorting", processors=processors)
    answer = es.reindex(source={"index": "mixed"}, dest={"index": "even", "pipeline": "sorting"})
    counted(answer, total=4, created=3, noops=1)
    assert set(sources(es, "even")) == {"doc-2"}
    assert set(sources(es, "odd")) == {"doc-1", "doc-3"}


def test_documents_that_are_there_are_conflicts_if_they_shall_be_created(es):
    fill(es, "new", 4)
    fill(es, "half", 2, old=True)
    with pytest.raises(ConflictError) as caught:
        es.reindex(source={"index": "new"}, dest={"index": "half", "op_type": "create"})
    body = caught.value.body
    assert body["version_conflicts"] == 2
    assert {each["id"] for each in body["failures"]} == {"0", "1"}
    assert body["failures"][0]["cause"]["type"] == "version_conflict_engine_exception"
    es.delete(index="half", id="3")
    answer = es.reindex(source={"index": "new"}, dest={"index": "half", "op_type": "create"}, conflicts="proceed")
    counted(answer, total=4, created=1, version_conflicts=3)
    assert sources(es, "half")["0"]["old"] is True


def test_a_document_that_cannot_be_written_ends_the_task_and_is_named(es):
    fill(es, "fine", 3)
    es.indices.create(index="strict", mappings={"dynamic": "strict", "properties": {"n": {"type": "long"}}})
    with pytest.raises(BadRequestError) as caught:
        es.reindex(source={"index": "fine", "size": 1}, dest={"index": "strict"})
    assert caught.value.body["batches"] == 1
    (failure,) = caught.value.body["failures"]
    assert (failure["index"], failure["id"], failure["status"]) == ("strict", "0", 400)
    es.ingest.put_pipeline(id="failing", processors=[{"fail": {"message": "not {{n}}", "if": "ctx.n == 1"}}])
    with pytest.raises(ApiError) as failed:
        es.reindex(source={"index": "fine"}, dest={"index": "fine-2", "pipeline": "failing"})
    assert [each["cause"]["reason"] for each in failed.value.body["failures"]] == ["not 1"]
    assert set(sources(es, "fine-2")) == {"0", "2"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"source": {"index": "kept"}, "dest": {}}, "index is missing"),
        ({"source": {}, "dest": {"index": "x"}}, "use _all if you really want to copy"),
        (
            {"source": {"index": "kept"}, "dest": {"index": "kept"}},
            "cannot write into an index its reading from [kept]",
        ),
        ({"source": {"index": "kept", "remote": {"host": "x"}}, "dest": {"index": "x"}}, "[remote] of [source] is not"),
        (
            {"source": {"index": "kept"}, "dest": {"index": "x"}, "script": {"source": ""}},
            "[script] of [reindex] is not",
        ),
        ({"source": {"index": "kept"}, "dest": {"index": "x", "version_type": "external"}}, "[external] is not"),
        ({"source": {"index": "kept"}, "dest": {"index": "x"}, "conflicts": "ignore"}, "may only be"),
        ({"source": {"index": "kept"}, "dest": {"index": "x"}, "max_docs": -5}, "[max_docs]"),
        ({"source": {"index": "kept", "size": 20000}, "dest": {"index": "x"}}, "must be between 1 and 10000"),
        ({"source": {"index": "kept"}, "dest": {"index": "x"}, "oops": 1}, "unknown field [oops]"),
        ({"source": {"index": "kept", "query": {"oops": {}}}, "dest": {"index": "x"}}, "oops"),
        ({"source": {"index": "kept"}, "dest": {"index": "x", "pipeline": "nowhere"}}, "[nowhere] does not exist"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(es, body, reason):
    fill(es, "kept", 2)
    with pytest.raises(BadRequestError) as caught:
        es.reindex(body=body)
    assert reason in str(caught.value.body)
    assert not es.indices.exists(index="x")


def test_an_index_that_is_not_there_is_404(es):
    with pytest.raises(NotFoundError) as caught:
        es.reindex(source={"index": "nowhere"}, dest={"index": "x"})
    assert caught.value.body["error"]["reason"] == "no such index [nowhere]"


# -- by query ---------------------------------------------------------------------------------------------------------


def test_documents_that_match_are_deleted(es):
    fill(es, "doomed", 6)
    with pytest.raises(BadRequestError, match="query is missing"):
        es.delete_by_query(index="doomed", body={})
    counted(es.delete_by_query(index="doomed", query={"range": {"n": {"gte": 3}}}), total=3, deleted=3)
    assert set(sources(es, "doomed")) == {"0", "1", "2"}
    counted(es.delete_by_query(index="doomed", query={"match_all": {}}, max_docs=1), total=1, deleted=1)
    assert es.count(index="doomed")["count"] == 2


def test_documents_are_written_again_through_a_pipeline(es):
    fill(es, "again", 4)
    es.ingest.put_pipeline(id="marking", processors=[{"set": {"field": "marked", "value": True}}])
    answer = es.update_by_query(index="again", query={"term": {"even": True}}, pipeline="marking")
    counted(answer, total=2, updated=2)
    assert {id_ for id_, source in sources(es, "again").items() if source.get("marked")} == {"0", "2"}
    assert es.get(index="again", id="0")["_version"] == 2
    counted(es.update_by_query(index="again"), total=4, updated=4)
    with pytest.raises(BadRequestError, match=r"\[script\] of \[by_query\] is not supported"):
        es.update_by_query(index="again", script={"source": "ctx._source.n++"})


# -- as tasks ---------------------------------------------------------------------------------------------------------


def wait_for(client, id_):
    """The end of a task."""
    deadline = time.monotonic() + 240
    while not (found := client.tasks.get(task_id=id_))["completed"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_a_task_is_watched_while_it_counts_and_cancelled(es):
    fill(es, "slow", 40)
    task = es.reindex(
        source={"index": "slow", "size": 10},
        dest={"index": "slow-copy"},
        requests_per_second=1,
        wait_for_completion=False,
    )["task"]
    seen = []
    deadline = time.monotonic() + 240
    while not seen or seen[-1]["status"]["created"] == 0:
        assert time.monotonic() < deadline
        found = es.tasks.get(task_id=task)
        assert found["completed"] is False
        seen.append(found["task"])
        time.sleep(0.02)
    assert seen[-1]["status"]["total"] == 40
    assert seen[-1]["status"]["created"] in {10, 20, 30}
    assert seen[-1]["description"] == "reindex from [slow] to [slow-copy]"
    (node,) = es.tasks.list(actions="*reindex", detailed=True)["nodes"].values()
    assert node["tasks"][task]["action"] == "indices:data/write/reindex"
    cancelled = es.tasks.cancel(task_id=task)
    assert next(iter(cancelled["nodes"].values()))["tasks"][task]["cancelled"] is True
    end = wait_for(es, task)
    assert end["response"]["canceled"] == "by user request"
    assert end["response"]["created"] < 40
    assert end["response"]["throttled_millis"] > 0
    assert es.count(index="slow-copy")["count"] == end["response"]["created"]
    assert es.tasks.list(actions="*reindex")["nodes"] == {}


def test_the_end_of_a_task_can_be_waited_for(es):
    fill(es, "short", 3)
    task = es.delete_by_query(index="short", query={"match_all": {}}, wait_for_completion=False)["task"]
    found = es.tasks.get(task_id=task, wait_for_completion=True, timeout="4m")
    assert found["completed"] is True
    counted(found["response"], total=3, deleted=3)


def test_a_document_that_changes_meanwhile_is_a_conflict(es, monkeypatch):
    changed = threading.Event()

    async def until_changed(*_):
        while not changed.is_set():
            await asyncio.sleep(0.01)

    monkeypatch.setattr(Change, "_slow_down", until_changed)
    fill(es, "busy", 8)
    task = es.update_by_query(index="busy", scroll_size=1, wait_for_completion=False, conflicts="proceed")["task"]
    while not es.tasks.get(task_id=task)["task"]["status"]["updated"]:  # it has looked at what there is
        time.sleep(0.02)
    es.index(index="busy", id="7", document={"changed": True})
    changed.set()
    end = wait_for(es, task)
    assert end["response"]["version_conflicts"] == 1
    assert end["response"]["updated"] == 7
    assert es.get(index="busy", id="7")["_source"] == {"changed": True}
