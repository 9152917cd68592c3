"""One thread for the tiny trainings."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Bit-identical weights need the same number of threads here and in the processes that tests start."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
