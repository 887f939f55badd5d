"""What keeps search fast as a table grows: indices, merged files, and when they pay."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from efive.search.lance.codec import Codec

# Below this many passages comparing with all of them takes no longer than searching an index.
INDEX_PAYS = 10_000
# Passages that no index covers are searched one by one: from so many on it pays to cover them.
LOOSE = 5_000
# Every write makes a file, and every merge a part of the index; each costs every search something.
FILES, PARTS = 20, 10
# Versions before the newest stay this long for those who read them.
_KEEP, _NEVER = timedelta(hours=1), timedelta(days=36_500)


@dataclass(frozen=True, slots=True)
class Due:
    """What pays by now."""

    build: list[str]
    """Columns whose index is to be built, for the first time or anew."""
    merge: bool
    """Whether files are to be merged, and new passages covered by the indices that there are."""


def due(table: Any, codec: Codec, *, force: bool) -> Due:  # noqa: ANN401 - the library's types are incomplete
    """Return what pays by now; `force` asks for all that makes any difference."""
    rows = table.count_rows()
    stats = {index.columns[0]: table.index_stats(index.name) for index in table.list_indices()}
    wanted = ["document"] if codec.kind.compressed else ["document", "vector"]
    build = [column for column in wanted if column not in stats] if rows >= INDEX_PAYS else []
    if vector := stats.get("vector"):
        grown = vector.num_unindexed_rows > vector.num_indexed_rows  # its partitions were made for fewer
        if grown or vector.num_indices >= (2 if force else PARTS):
            build.append("vector")
    loose = max((stat.num_unindexed_rows for stat in stats.values() if stat), default=0)
    files = table.stats()["fragment_stats"]["num_small_fragments"]
    return Due(build, force or loose >= LOOSE or files > FILES)


def build(table: Any, column: str) -> None:  # noqa: ANN401
    """Build the index of a column; until it is there searches use the one before, or none."""
    table.create_index(column, config=_configuration(column), replace=True)


def merge(table: Any) -> None:  # noqa: ANN401
    """Merge small files, and let the indices that there are cover new passages."""
    table.optimize(cleanup_older_than=_NEVER)


def tidy(table: Any) -> None:  # noqa: ANN401
    """Delete old versions that nobody reads any more."""
    table.optimize(cleanup_older_than=_KEEP)


def _configuration(column: str) -> Any:  # noqa: ANN401
    from lancedb.index import BTree, IvfRq

    # Vectors as codes of 4 bits a number, in partitions of about 8,000. Searches go through all of them.
    return BTree() if column == "document" else IvfRq(distance_type="cosine", num_bits=4)
