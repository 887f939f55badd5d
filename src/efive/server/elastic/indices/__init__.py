"""Indices: mappings, documents in SQLite, vectors in collections, and the one way in which they are written."""
