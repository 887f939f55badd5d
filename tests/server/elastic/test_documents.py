"""Documents one by one: versions, conflicts, partial updates, what of them is shown."""

import httpx
import pytest
from elasticsearch import BadRequestError, ConflictError, NotFoundError


def test_versions_go_on_behind_deletions(client):
    created = client.index(index="versions", id="1", document={"n": 1})
    assert created.meta.status == 201
    assert (created["result"], created["_version"], created["_seq_no"], created["_primary_term"]) == (
        "created",
        1,
        0,
        1,
    )
    changed = client.index(index="versions", id="1", document={"n": 2})
    assert (changed.meta.status, changed["result"], changed["_version"], changed["_seq_no"]) == (200, "updated", 2, 1)
    gone = client.delete(index="versions", id="1")
    assert (gone["result"], gone["_version"], gone["_seq_no"]) == ("deleted", 3, 2)
    with pytest.raises(NotFoundError) as error:
        client.delete(index="versions", id="1")
    assert error.value.body["result"] == "not_found"
    assert error.value.body["_version"] == 4
    again = client.index(index="versions", id="1", document={"n": 3})
    assert (again["result"], again["_version"]) == ("created", 5)


def test_ids_of_their_own_are_made(client):
    ids = {client.index(index="auto", document={})["_id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(len(id_) == 20 and id_.replace("-", "").replace("_", "").isalnum() for id_ in ids)


def test_creating_twice_is_a_conflict(client):
    client.create(index="once", id="a", document={"n": 1})
    with pytest.raises(ConflictError, match=r"version_conflict_engine_exception") as error:
        client.create(index="once", id="a", document={"n": 2})
    reason = error.value.body["error"]["reason"]
    assert reason == "[a]: version conflict, document already exists (current version [1])"
    with pytest.raises(ConflictError):
        client.index(index="once", id="a", document={}, op_type="create")
    assert client.get(index="once", id="a")["_source"] == {"n": 1}


def test_a_write_may_depend_on_the_number_of_the_one_before(client):
    first = client.index(index="numbers", id="a", document={"n": 1})
    given = {"if_seq_no": first["_seq_no"], "if_primary_term": first["_primary_term"]}
    client.index(index="numbers", id="a", document={"n": 2}, **given)
    with pytest.raises(ConflictError) as error:
        client.index(index="numbers", id="a", document={"n": 3}, **given)
    assert error.value.body["error"]["reason"] == (
        "[a]: version conflict, required seqNo [0], primary term [1]. current document has seqNo [1] and primary term "
        "[1]"
    )
    with pytest.raises(ConflictError, match="version_conflict"):
        client.delete(index="numbers", id="a", **given)
    with pytest.raises(ConflictError) as error:
        client.index(index="numbers", id="b", document={}, **given)
    assert error.value.body["error"]["reason"].endswith("but no document was found")
    with pytest.raises(BadRequestError, match="action_request_validation_exception"):
        client.index(index="numbers", id="a", document={}, if_seq_no=1)


def test_a_partial_update_merges_objects_and_replaces_lists(client):
    client.index(index="partial", id="a", document={"o": {"x": 1, "y": 2}, "l": [1, 2]})
    client.update(index="partial", id="a", doc={"o": {"y": 3}, "l": [9]})
    assert client.get(index="partial", id="a")["_source"] == {"o": {"x": 1, "y": 3}, "l": [9]}


def test_an_update_that_changes_nothing_is_no_write(client):
    client.index(index="noop", id="a", document={"n": 1, "m": 2})
    same = client.update(index="noop", id="a", doc={"n": 1})
    assert (same["result"], same["_version"], same["_seq_no"]) == ("noop", 1, 0)
    forced = client.update(index="noop", id="a", doc={"n": 1}, detect_noop=False)
    assert (forced["result"], forced["_version"]) == ("updated", 2)
    assert client.update(index="noop", id="a", doc={"n": 1.0})["result"] == "updated"


def test_upserts(client):
    with pytest.raises(NotFoundError) as error:
        client.update(index="upserts", id="a", doc={"n": 1})
    assert error.value.body["error"]["type"] == "document_missing_exception"
    assert error.value.body["error"]["reason"] == "[a]: document missing"
    made = client.update(index="upserts", id="a", doc={"n": 1}, upsert={"n": 0})
    assert (made.meta.status, made["result"]) == (201, "created")
    client.update(index="upserts", id="b", doc={"n": 5}, doc_as_upsert=True)
    shown = client.update(index="upserts", id="a", doc={"m": 1}, source=["m"])
    assert shown["get"]["_source"] == {"m": 1}
    assert client.get(index="upserts", id="a")["_source"] == {"n": 0, "m": 1}
    assert client.get(index="upserts", id="b")["_source"] == {"n": 5}


def test_scripts_are_refused_by_name(client):
    client.index(index="scripts", id="a", document={"n": 1})
    with pytest.raises(BadRequestError, match=r"\[script\] of an update is not supported by efive"):
        client.update(index="scripts", id="a", script={"source": "ctx._source.n++"})


def test_what_of_a_document_is_shown(client):
    client.index(index="shown", id="a", document={"a": 1, "b": {"c": 2, "d": 3}, "e": None})
    get = client.get(index="shown", id="a")
    assert get["found"] is True
    assert get["_source"] == {"a": 1, "b": {"c": 2, "d": 3}, "e": None}
    assert client.get(index="shown", id="a", source_includes=["b.c", "a"])["_source"] == {"a": 1, "b": {"c": 2}}
    assert client.get(index="shown", id="a", source_excludes=["b.*"])["_source"] == {"a": 1, "b": {}, "e": None}
    assert "_source" not in client.get(index="shown", id="a", source=False)
    assert client.get_source(index="shown", id="a").body == get["_source"]
    assert client.exists(index="shown", id="a")
    assert not client.exists(index="shown", id="b")
    with pytest.raises(NotFoundError) as error:
        client.get(index="shown", id="b")
    assert error.value.body == {"_index": "shown", "_id": "b", "found": False}
    with pytest.raises(NotFoundError, match="resource_not_found_exception"):
        client.get_source(index="shown", id="b")


def test_several_documents_at_once(client):
    client.index(index="many-a", id="1", document={"n": 1, "m": 2})
    client.index(index="many-b", id="2", document={"n": 2})
    asked = [
        {"_index": "many-b", "_id": "2"},
        {"_index": "many-a", "_id": "1", "_source": ["m"]},
        {"_index": "many-a", "_id": "9"},
        {"_index": "nowhere", "_id": "1"},
    ]
    docs = client.mget(docs=asked)["docs"]
    assert [each.get("_source") for each in docs] == [{"n": 2}, {"m": 2}, None, None]
    assert docs[2] == {"_index": "many-a", "_id": "9", "found": False}
    assert docs[3]["error"]["type"] == "index_not_found_exception"
    assert [each["found"] for each in client.mget(index="many-a", ids=["1", "2"])["docs"]] == [True, False]


def test_ids_may_have_slashes_and_other_letters(client):
    for id_ in ("a/b", "über uns?", "%2F", "a#b"):
        client.index(index="ids", id=id_, document={"id": id_})
        assert client.get(index="ids", id=id_)["_source"] == {"id": id_}
    with pytest.raises(BadRequestError, match="must be no longer than 512 bytes"):
        client.index(index="ids", id="x" * 513, document={})


def test_a_body_that_is_no_object_is_refused(server):
    answer = httpx.post(f"{server.url}/es/bodies/_doc", json=[1])
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "parsing_exception"


@pytest.mark.parametrize("body", ['{"ids": 5}', '{"docs": {"a": 1}}', '{"ids": [{}]}', '{"ids": ["1"], "fields": []}'])
def test_what_cannot_be_got_is_refused(client, server, body):
    client.index(index="odd", id="1", document={})
    found = httpx.post(f"{server.url}/es/odd/_mget", content=body)
    assert found.json()["error"]["type"] == "parsing_exception"


def test_a_document_that_no_answer_could_hold_is_refused(client, server):
    client.index(index="held", id="1", document={"n": 1})
    for body in ("[" * 300 + "]" * 300, "9" * 400):
        refused = httpx.put(f"{server.url}/es/held/_doc/2", content=f'{{"deep": {body}}}')
        assert (refused.status_code, refused.json()["error"]["type"]) == (400, "document_parsing_exception")
    client.index(index="held", id="3", document={"deep": nested(200)})
    assert client.get(index="held", id="3", source_includes="deep")["_source"] == {"deep": nested(200)}
    assert client.search(index="held", source="deep*", filter_path="hits.**.**.**.deep")["hits"]["hits"]


def nested(depth):
    """Return a list in a list and so on."""
    return [nested(depth - 1)] if depth else []


def test_a_write_for_an_alias_makes_no_index(client):
    with pytest.raises(NotFoundError, match="is not an alias"):
        client.index(index="no-alias", document={}, require_alias=True)
    line = {"index": {"_index": "no-alias", "require_alias": True}}
    assert client.bulk(operations=[line, {}])["items"][0]["index"]["status"] == 404
    assert not client.indices.exists(index="no-alias")
