"""What an index keeps in SQLite: its documents, and what queries ask of them. Vectors are in collections.

A document is written in three steps, so that nothing that was acknowledged is lost or torn: into `pending`, into the
collections of its semantic_text fields, and, with its removal from `pending`, into `document`, `value` and the
full-text tables. What a crash leaves in `pending` is done again when the index is opened.
"""

import re

TABLES = """
CREATE TABLE IF NOT EXISTS document (
    row INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    id TEXT NOT NULL UNIQUE,
    source BLOB NOT NULL,       -- JSON as it was given
    version INTEGER NOT NULL,
    seq_no INTEGER NOT NULL,
    digests BLOB NOT NULL       -- JSON: semantic_text field -> the digest of what its collection has
);
CREATE INDEX IF NOT EXISTS document_seq_no ON document (seq_no);
CREATE TABLE IF NOT EXISTS deleted (id TEXT PRIMARY KEY, version INTEGER NOT NULL, seq_no INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS pending (
    id TEXT PRIMARY KEY,
    source BLOB,                -- NULL removes the document
    version INTEGER NOT NULL,
    seq_no INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS value (
    row INTEGER NOT NULL,
    field TEXT NOT NULL,        -- its full path, as in the mapping; text and semantic_text fields have one NULL value
    text TEXT,                  -- keyword: as it is
    number NUMERIC              -- numbers; booleans as 0 and 1; dates as milliseconds since 1970
);
CREATE INDEX IF NOT EXISTS value_text ON value (field, text, row);
CREATE INDEX IF NOT EXISTS value_number ON value (field, number, row);
CREATE INDEX IF NOT EXISTS value_row ON value (row);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""


def full_text_table(field: str) -> str:
    """Return the name, quoted for SQL, of the full-text table of a text field.

    Its one column, `terms`, has `efive.search.terms.index_terms` of the field's texts, so that words are cut as in
    collections; its rowid is the document's row.
    """
    # SQLite takes Title for title, and keeps the tables X_data, X_content and so on for itself: none ends in a colon.
    plain = re.sub("[^a-z0-9_.]", lambda found: f"%{ord(found[0]):x}%", field)
    return f'"text:{plain}:"'
