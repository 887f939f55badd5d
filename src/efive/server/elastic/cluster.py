"""All that the Elasticsearch door speaks for."""

from efive.server.service import Service


class Cluster:
    """Endpoints, trained models, indices, pipelines and tasks of one server. Used on the event loop."""

    def __init__(self, service: Service) -> None:
        self.service = service
