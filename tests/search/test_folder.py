"""The folder of a collection, which may be one that somebody keeps other things in."""

import os

import pytest

from efive import Collection, Document
from efive.errors import StoreError
from efive.search.folder import Folder


@pytest.fixture
def beside(collection):
    """A collection in a folder with other things."""
    for name in ("2023", "2024"):
        (collection.path / name).mkdir(parents=True)
        (collection.path / name / "photo.jpg").write_bytes(b"jpg")
    collection.add([Document("a", "Text.")])
    collection.close()
    return collection.path


def others(path):
    return sorted(found.relative_to(path).as_posix() for found in path.rglob("photo.jpg"))


def test_tidying_leaves_alone_what_is_not_its_own(beside, encoder):
    os.utime(beside / "collection.json", (1, 1))  # so old that no reader is left
    with Collection.open(beside, encoder) as collection:
        collection.add([Document("b", "More.")])
    assert others(beside) == ["2023/photo.jpg", "2024/photo.jpg"]


def test_removing_leaves_alone_what_is_not_its_own(beside):
    Folder(beside).remove()
    assert others(beside) == ["2023/photo.jpg", "2024/photo.jpg"]
    assert sorted(path.name for path in beside.iterdir()) == ["2023", "2024"]


def test_removing_leaves_nothing(collection):
    collection.add([Document("a", "Text.")])
    collection.close()
    Folder(collection.path).remove()
    assert not collection.path.exists()


def test_a_damaged_name_of_the_generation_is_told(collection, encoder):
    collection.add([Document("a", "Text.")])
    collection.close()
    (collection.path / "collection.json").write_text('{"format": 1}')
    with pytest.raises(StoreError, match=r"collection\.json is damaged: it names no generation"):
        Collection.open(collection.path, encoder)
