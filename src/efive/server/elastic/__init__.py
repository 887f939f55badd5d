"""Elasticsearch's world on our own: endpoints, trained models, indices, queries, pipelines. No HTTP in here."""
