"""Trained models, as Elasticsearch has them: packaged or uploaded, and their deployments."""

from efive.server.elastic.models.trained import TrainedModels

__all__ = ["TrainedModels"]
