"""How many engines a load asks for."""

import pytest

from efive.deployments import autoscaler


def seen(**fields):
    return autoscaler.Seen(**{"allocations": 2, "busy": 0.5, "wait": 0.0, "since_request": 0.0, "quiet": 0.0, **fields})


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (seen(), 2),
        (seen(busy=0.9, wait=2.0), 3),
        (seen(busy=0.9, wait=0.1), 2),
        (seen(allocations=4, busy=1.0, wait=9.0), 4),
        (seen(quiet=61.0), 1),
        (seen(quiet=59.0), 2),
        (seen(allocations=1, quiet=999.0), 1),
        (seen(allocations=1, since_request=901.0), 0),
        (seen(allocations=0, since_request=901.0), 0),
    ],
)
def test_how_many_allocations_there_should_be(look, expected):
    assert autoscaler.wanted(look, 0, 4, 900.0) == expected
    assert autoscaler.quiet_enough(seen(busy=0.17))
    assert not autoscaler.quiet_enough(seen(busy=0.2))
    assert not autoscaler.quiet_enough(seen(allocations=1, busy=0.0))
