"""Our own routes against the document that describes them: whatever it allows, and some of what it does not."""

import json
from collections.abc import Iterator

import hypothesis
import pytest
import requests
from served import Running, serving

from efive.deployments.settings import Settings
from efive.server.app import Options

schemathesis = pytest.importorskip("schemathesis")

EXAMPLES = 6
"""Requests of each kind for each route."""


@schemathesis.serializer("application/x-ndjson")
def _lines(context, value):
    return {"data": json.dumps(value).encode()}


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """A server of its own, as requests delete things; with a key, as requests make keys."""
    e5 = Settings(name="e5", model="bundled", precision="fp32", threads=1)
    with serving(Options(tmp_path_factory.mktemp("contract"), (e5,))) as running:
        yield running, running.service.access.create("test", ["manage"])[1]


def failure(operation, mode, call) -> str | None:
    """What a route does that its description rules out, by requests of one kind."""

    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def check(case):
        call(case)

    try:
        check()
    except hypothesis.errors.Unsatisfiable:  # nothing could be wrong about such a request
        return None
    except (AssertionError, BaseExceptionGroup) as error:
        return f"{operation.label}: {error}"
    return None


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_answers_are_as_described(keyed, mode):
    server, key = keyed
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    # A schema cannot say everything, such as that a text has at most 512 tokens.
    beyond_schemas = schemathesis.checks.CHECKS.get_by_names(["positive_data_acceptance"])

    with requests.Session() as session:
        session.headers["authorization"] = f"Bearer {key}"

        def call(case):
            case.call_and_validate(base_url=server.url, session=session, timeout=120, excluded_checks=beyond_schemas)

        operations = [found.ok() for found in schema.get_all_operations()]
        wrong = [words for each in operations if (words := failure(each, mode, call))]
    assert len(operations) > 10
    assert not wrong, "\n\n".join(wrong)
