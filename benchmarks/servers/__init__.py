"""Servers of embeddings, and the load that they are put under."""
