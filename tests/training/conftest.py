"""What tests of training share."""

import pytest
import torch


@pytest.fixture
def one_thread():
    """Sums in one order: tests before this one may have left this process another number of threads than a new one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
