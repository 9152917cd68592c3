"""Samples in their order, and errors of loader processes."""

import pytest
import torch
from torch.utils.data import Dataset

from ltr.common.errors import UserError
from ltr.common.images import ImageReadError
from ltr.data.loading import batches


class Numbers(Dataset):
    def __init__(self, missing: int | None = None) -> None:
        self.missing = missing

    def __len__(self) -> int:
        return 10

    def __getitem__(self, k: int) -> dict[str, torch.Tensor]:
        if k == self.missing:
            raise ImageReadError(f"image {k}.png does not exist")
        return {"x": torch.tensor(k)}


@pytest.mark.parametrize("workers", [0, 2])
def test_order_and_errors(workers):
    assert [batch["x"].tolist() for batch in batches(Numbers(), 4, workers)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    with pytest.raises(UserError, match=r"^image 5\.png does not exist$"):
        list(batches(Numbers(missing=5), 4, workers))
