"""Threads for the short loops of a tracked frame, which a busy machine does not hold up (`csrc/team.cpp`)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ltr.ops import dense


@contextmanager
def team() -> Iterator[None]:
    """The compiled kernels share their work among a team of as many threads as PyTorch has; PyTorch itself uses one.

    OpenMP's threads, PyTorch's own, wait for each other at each of a frame's 150 loops. Beside other programs that
    takes milliseconds each time, and what a thread that waits looks out for uses up the core that another one needs.
    The team's calling thread waits for nobody who has not begun; if it is held up nevertheless, it works alone for a
    while. PyTorch's operators, the small rest of a frame, compute on the calling thread, so that no result depends on
    the number of threads.

    Without the compiled kernels, or within another such block, nothing changes. Also a decorator: `@team()`.
    """
    threads = torch.get_num_threads()
    if threads == 1 or not dense.available():
        yield
        return
    torch.set_num_threads(1)
    before = torch.ops.ebm_regression.call_team(threads)
    try:
        yield
    finally:
        torch.ops.ebm_regression.call_team(before)
        torch.set_num_threads(threads)
