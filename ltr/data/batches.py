"""A user's error comes out of loader processes as its one sentence; and the samples of a data set in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from ltr.common.errors import UserError


class Failure:
    """A user's error in a loader process on its way to the main one, where PyTorch would add a traceback."""

    def __init__(self, error: UserError) -> None:
        self.text = str(error)


class Reporting(Dataset):
    """The samples of another data set, or a :class:`Failure` in the place of one that raises a user's error."""

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        try:
            return self.data[index]
        except UserError as error:
            return Failure(error)


class Collate:
    """What another function makes of samples, or the first :class:`Failure` among them."""

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, samples: list[Any]) -> Any:
        for sample in samples:
            if isinstance(sample, Failure):
                return sample
        return self.collate(samples)


def checked(batch: Any) -> Any:
    """The batch, or the error that it stands for.

    Raises:
        UserError: it is a :class:`Failure`.
    """
    if isinstance(batch, Failure):
        raise UserError(batch.text)
    return batch


def batches(samples: Dataset, size: int, workers: int) -> Iterator[dict[str, Tensor]]:
    """Batches of `size` samples, the last one of what is left.

    Args:
        workers: processes that load; 0 loads here.

    Raises:
        UserError: as the samples raise it.
    """
    loader = DataLoader(Reporting(samples), size, num_workers=workers, collate_fn=Collate(default_collate))
    yield from map(checked, loader)
