"""An index of some documents, open for reading, without a server."""

from contextlib import contextmanager

import numpy as np

from efive.server.elastic.indices import mapping_json, writing
from efive.server.elastic.indices.database import Database
from efive.server.elastic.indices.operations import Operation
from efive.server.elastic.indices.planning import plan
from efive.server.elastic.indices.reading import Reading
from efive.server.elastic.queries import values
from efive.server.elastic.queries.evaluation import Evaluation
from efive.server.elastic.queries.parsing import parse


@contextmanager
def opened(folder, properties, documents, **holdings):
    """An index of these documents, open for reading."""
    database = Database(folder / "index.sqlite")
    operations = [Operation("index", id_, source) for id_, source in documents.items()]
    with database.writing() as connection:
        made = plan(connection, mapping_json.parse({"properties": properties}), 0, operations)
        assert not [outcome.error for outcome in made.outcomes if outcome.error]
        writing.make_tables(connection, made.mapping)
        writing.begin(connection, made.changes.values())
        writing.finish(connection, made.mapping, made.changes.values(), {})
    with database.reading() as connection:
        yield Reading("books", made.mapping, connection, holdings.get("semantic", {}), holdings.get("vectors", {}))
    database.close()


def scores(reading, query, **options):
    found = Evaluation(reading, **options).matches(parse(query))
    assert (np.diff(found.rows) > 0).all()
    return dict(zip(values.ids_of(reading.database, found.rows.tolist()), found.scores.tolist(), strict=True))
