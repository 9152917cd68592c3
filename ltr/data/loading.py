"""Batches of numbered samples, loaded by worker processes; a user's error comes out of them as its one sentence."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from torch.utils.data import DataLoader, Dataset, default_collate

from ltr.common.errors import UserError


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


@contextlib.contextmanager
def load_batches(
    data: Dataset,
    numbers: Iterable[Sequence[int]],
    workers: int,
    collate: Callable[[list[Any]], Any] = default_collate,
    pin_memory: bool = False,
) -> Iterator[Iterator[Any]]:
    """A block in which batches can be iterated; its worker processes end with it.

    Left to the garbage collector they may live until the interpreter exits, which then waits for them.

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
        collate_fn=_unchanged,
        pin_memory=pin_memory,
        worker_init_fn=_set_worker_signals,
    )
    batches: Any = iter(loader)
    try:
        yield map(_checked, batches)
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


def _checked(batch: Any) -> Any:
    if isinstance(batch, UserError):
        raise batch
    return batch


def _set_worker_signals(worker: int) -> None:
    """Terminals and torchrun signal whole groups of processes; a worker ends when its training process wants it to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(15))  # time for the present step, then end
