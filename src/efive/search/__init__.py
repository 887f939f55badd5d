"""Collections: documents in, the passages that answer a question out."""
