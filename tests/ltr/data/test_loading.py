"""Samples in their order, and errors of loader processes."""

import os
import signal
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from ltr.common.errors import UserError
from ltr.common.images import ImageReadError
from ltr.data.loading import batches


class Numbers(Dataset):
    def __init__(self, missing: int | None = None, fails: Callable[[], None] | None = None) -> None:
        self.missing, self.fails = missing, fails

    def __len__(self) -> int:
        return 10

    def __getitem__(self, k: int) -> dict[str, torch.Tensor]:
        if k == 7 and self.fails is not None:
            self.fails()
        if k == self.missing:
            raise ImageReadError(f"image {k}.png does not exist")
        return {"x": torch.tensor(k)}


@pytest.mark.parametrize("workers", [0, 2])
def test_order_and_errors(workers):
    assert [batch["x"].tolist() for batch in batches(Numbers(), 4, workers)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    with pytest.raises(UserError, match=r"^image 5\.png does not exist$"):
        list(batches(Numbers(missing=5), 4, workers))


class Threads(Dataset):
    """What a loader process runs its samples with."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, k: int) -> list[int]:
        return [cv2.getNumThreads(), torch.get_num_threads()]


def test_loader_processes_share_the_cores():
    """With a thread of OpenCV for each core in each process, 16 of them had a load of 127. Threads that OpenCV has
    started here, a forked process must not try to end: it crashes, or waits for ever."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(4)
    cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (9, 9), 0)
    try:
        [threads] = batches(Threads(), 2, 1)
        assert [column.tolist() for column in threads] == [[1, 1], [1, 1]]
        assert cv2.getNumThreads() == 4  # here as before
    finally:
        cv2.setNumThreads(before)


def no_memory() -> None:
    """What torch says where /dev/shm is full."""
    raise RuntimeError("unable to allocate shared memory(shm) for file </torch_7_1>: No space left on device (28)")


def bus_error() -> None:
    """What a worker dies of that writes to a full /dev/shm."""
    os.kill(os.getpid(), signal.SIGBUS)


def killed() -> None:
    """What the system does where memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


def other() -> None:
    raise RuntimeError("sizes do not fit")


@pytest.mark.parametrize(
    ("fails", "message"),
    [
        (no_memory, r"^the loader processes have too little shared memory.*; set --workers 0, .* --shm-size 2g$"),
        (bus_error, r"^the loader processes have too little shared memory.*; set --workers 0, .* --shm-size 2g$"),
        (killed, r"^a loader process (is killed by signal: Killed|exited unexpectedly); .* --workers 0, .*shm-size"),
    ],
)
def test_workers_without_memory_end_in_a_sentence(fails, message):
    with pytest.raises(UserError, match=message):
        list(batches(Numbers(fails=fails), 4, workers=1))


@pytest.mark.parametrize("workers", [0, 1])
def test_other_errors_keep_their_traceback(workers):
    with pytest.raises(RuntimeError, match="sizes do not fit"):
        list(batches(Numbers(fails=other), 4, workers))
