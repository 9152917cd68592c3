"""Batches of numbered samples, loaded by worker processes; a user's error comes out of them as its one sentence."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import cv2
from torch.utils.data import DataLoader, Dataset, default_collate

from ltr.common.errors import UserError

_AHEAD = 2
"""Batches that each loader process has ready or in work. More would only take memory: in shared memory lie at most the
batches of all processes, of 8 MB each for 16 pairs of crops."""


class _BatchData(Dataset):
    """The batch of a list of sample numbers, or the user's error that one of the samples raises.

    PyTorch passes an exception on with a traceback in its message; as a batch it arrives as it is.
    """

    def __init__(self, data: Dataset, collate: Callable[[list[Any]], Any]) -> None:
        self.data, self.collate = data, collate

    def __getitem__(self, numbers: Sequence[int]) -> Any:
        try:
            return self.collate([self.data[k] for k in numbers])
        except UserError as error:
            return UserError(str(error))  # a subclass may have arguments with which it cannot be sent
        except (RuntimeError, OSError) as error:
            known = _explained(error)
            if known is None:
                raise
            return known


@contextlib.contextmanager
def load_batches(
    data: Dataset,
    numbers: Iterable[Sequence[int]],
    workers: int,
    collate: Callable[[list[Any]], Any] = default_collate,
    pin_memory: bool = False,
) -> Iterator[Iterator[Any]]:
    """A block in which batches can be iterated; its worker processes end with it.

    They live as long as the block: a training has one for all its epochs, so none is started anew. Left to the garbage
    collector they may live until the interpreter exits, which then waits for them.

    Args:
        data: `data[k]` is sample k.
        numbers: the sample numbers of each batch.
        workers: processes that load; 0 loads here.
        collate: makes a batch from a list of samples.
        pin_memory: whether tensors go to page-locked memory, for a GPU.

    Raises:
        UserError: by the iterator, if a sample raises one.
    """
    loader = DataLoader(
        _BatchData(data, collate),
        batch_size=None,  # the data set makes whole batches
        sampler=numbers,
        num_workers=workers,
        prefetch_factor=_AHEAD if workers else None,
        collate_fn=_unchanged,
        pin_memory=pin_memory,
        worker_init_fn=_start_worker,
    )
    with _without_opencv_threads() if workers else contextlib.nullcontext():
        batches: Any = iter(loader)  # forks the workers
    try:
        yield _checked(batches)
    except RuntimeError as error:  # the end of a worker interrupts whatever this process does
        known = _explained(error) if "DataLoader worker" in str(error) else None
        if known is None:
            raise
        raise known from None
    finally:
        if workers:
            batches._shutdown_workers()  # PyTorch has no public name for it


def batches(samples: Dataset, size: int, workers: int) -> Iterator[Any]:
    """All samples in their order, in batches of `size`; the last batch holds what is left.

    Args:
        samples: a data set with a length.
        size: samples of a batch.
        workers: processes that load; 0 loads here.

    Raises:
        UserError: if a sample raises one.
    """
    length = len(samples)  # type: ignore[arg-type]
    numbers = [range(start, min(start + size, length)) for start in range(0, length, size)]
    with load_batches(samples, numbers, workers) as loaded:
        yield from loaded


def _unchanged(batch: Any) -> Any:
    return batch


def _checked(batches: Iterator[Any]) -> Iterator[Any]:
    """The batches; an error of a loader process is raised as a sentence for the user, if its cause is known."""
    while True:
        try:
            batch = next(batches)
        except StopIteration:
            return
        except (RuntimeError, OSError) as error:
            known = _explained(error)
            if known is None:
                raise
            raise known from None
        if isinstance(batch, UserError):
            raise batch
        yield batch


def _explained(error: Exception) -> UserError | None:
    """The cause and the remedy of an error by which loader processes fail on many machines; None for other errors."""
    text = f"{error} {error.__cause__ or ''}"  # the cause has the signal, if it is known
    if "shared memory" in text or "Bus error" in text:
        return UserError(
            f"the loader processes have too little shared memory{_shared_memory()}; set --workers 0, or give a Docker "
            "container more of it by docker run --shm-size 2g"
        )
    killed = re.search(r"DataLoader worker .* (is killed by signal: \w+|exited unexpectedly)", text)
    if killed:
        return UserError(
            f"a loader process {killed[1]}; where memory is short, set --workers 0, or give a Docker container more "
            "shared memory by docker run --shm-size 2g"
        )
    return None


def _shared_memory(folder: str = "/dev/shm") -> str:
    try:
        return f" ({folder} has {shutil.disk_usage(folder).total // 2**20} MB)"
    except OSError:  # not on every system
        return ""


@contextlib.contextmanager
def _without_opencv_threads() -> Iterator[None]:
    """A block in which OpenCV has no threads besides the caller's. A forked process that inherits them does not have
    them, and waits for ever when it is to end them."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _start_worker(worker: int) -> None:
    """Gives OpenCV one thread, as PyTorch gives itself: with a thread for each core, workers hinder one another.

    Terminals and torchrun signal whole groups of processes; a worker ends when its training process wants it to.
    """
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "alarm"):  # not on Windows
        signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(15))  # time for the present step, then end
