"""The team of threads against one thread: the same numbers, whoever does the work."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from ltr.ops import dense, kernels
from ltr.ops.team import team
from tests.ltr.ops.test_dense import block

pytestmark = [
    pytest.mark.kernels,
    pytest.mark.skipif(not dense.available(), reason=f"the compiled CPU library is {kernels.FOUND['cpu'].detail}"),
]


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of PyTorch's threads for the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def compute() -> Callable[[], list[torch.Tensor]]:
    """One result of every kernel that shares out its work, from the same input each time."""
    torch.manual_seed(0)
    fused = dense.InvertedResidual(*block(16, 96, 16, 5, 1, True, padding=2), same=False, residual=True)
    small = dense.InvertedResidual(*block(16, 96, 24, 3, 2, True), same=True, residual=False)
    winograd = dense.WinogradConv2d(nn.Conv2d(16, 100, 3, padding=1))
    strided = dense.Convolution(nn.Conv2d(16, 100, 3, 2, padding=1), low=0.0)
    x, few = torch.randn(1, 16, 61, 147), torch.randn(2, 16, 12, 9)
    features, response, weight = torch.randn(37, 20, 18, 18), torch.randn(37, 18, 18), torch.randn(20, 16)
    pool, boxes = torch.ops.ebm_regression.prroi_pool, torch.rand(50, 4) * 60
    boxes[:, 2:] += boxes[:, :2] + 4

    def results() -> list[torch.Tensor]:
        with torch.no_grad():
            return [
                *(fused(x), small(few), winograd(x), strided(x)),
                dense.filter_correlate(features, weight, 4),
                dense.filter_adjoint(features, response, 4),
                pool(features[:1], boxes, 5, 5, 1 / 8),
            ]

    return results


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("count", [2, 3, 7])
def test_a_team_computes_what_one_thread_computes(compute, threads, count):
    alone = compute()
    threads(count)
    with team():
        assert all(same(alone, compute()) for _ in range(5))


def test_more_threads_than_cores_come_to_an_end(compute, threads):
    alone, cores = compute(), os.sched_getaffinity(0)
    threads(5)
    try:
        os.sched_setaffinity(0, {min(cores)})
        with team():
            assert all(same(alone, compute()) for _ in range(20))
    finally:
        os.sched_setaffinity(0, cores)


def test_pytorch_has_one_thread_within_and_all_of_them_after(threads):
    threads(3)
    with team():
        assert torch.get_num_threads() == 1
        with team():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    with pytest.raises(RuntimeError, match="of the caller"), team():
        raise RuntimeError("of the caller")
    assert torch.get_num_threads() == 3


def test_several_callers_at_once(compute, threads):
    alone = compute()
    threads(2)

    def call(_: int) -> bool:
        torch.set_num_threads(2)
        with team():
            return all(same(alone, compute()) for _ in range(5))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(call, range(8)))


def test_what_a_part_throws_is_raised_and_the_team_goes_on(compute, threads):
    alone = compute()
    threads(3)
    kernel = 3000  # whose products take more memory than there are addresses
    features, weight = torch.zeros(4, 1, 2000, 2000), torch.zeros(1, kernel**2)
    with team():
        for _ in range(3):
            with pytest.raises(MemoryError):
                dense.filter_correlate(features, weight, kernel)
            assert same(alone, compute())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_a_team_of_its_own(compute, threads):
    alone = compute()
    threads(2)
    with team():
        compute()
    child = os.fork()
    if child == 0:
        try:
            with team():
                right = all(same(alone, compute()) for _ in range(5))
            os._exit(0 if right else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
