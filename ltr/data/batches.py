"""The samples of a data set in their order, once."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from ebm_common.errors import UserError


def batches(samples: Dataset, size: int, workers: int) -> Iterator[dict[str, Tensor]]:
    """Batches of `size` samples, the last one of what is left.

    Args:
        workers: processes that load; 0 loads here.

    Raises:
        UserError: as the samples raise it; from a loader process PyTorch would add a traceback to its message.
    """
    for batch in DataLoader(_Reporting(samples), size, num_workers=workers, collate_fn=_collate):
        if isinstance(batch, str):
            raise UserError(batch)
        yield batch


class _Reporting(Dataset):
    """A user's error comes back as its text."""

    def __init__(self, samples: Dataset) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, k: int) -> dict[str, Tensor] | str:
        try:
            return self.samples[k]
        except UserError as error:
            return str(error)


def _collate(batch: list[dict[str, Tensor] | str]) -> dict[str, Tensor] | str:
    return next((sample for sample in batch if isinstance(sample, str)), None) or default_collate(batch)
