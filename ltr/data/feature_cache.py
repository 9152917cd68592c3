"""Backbone features computed once and kept on disk, for training heads on a frozen backbone without a GPU.

On a CPU the frozen backbone, the decoding and the augmentation cost more than the head that is trained. A cache holds
the features of the first P pairs of a data set; pair k is then pair k mod P, with fresh candidate boxes each time. The
three systems, and every later run on the same data and seed, share one cache. One that was interrupted goes on.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from ltr.common.progress import progress_bar
from ltr.data.disk_cache import Rows, cached_rows, open_rows
from ltr.data.loading import batches
from ltr.models.backbone import Backbone
from ltr.models.backbone.frozen import FrozenBackbone

_BATCH = 16
_PROBES = 16


class CachedFeatures(Dataset):
    """The features of `pairs[0 .. number - 1]` under `backbone`, computed on first use and kept in `folder`.

    Item k holds {"reference_stride8", "reference_stride16", "test_stride8", "test_stride16"}, float16 (C, H, W), and
    "reference_box", "test_box", float32 (4,).

    Args:
        pairs: what the features are computed of; `pairs[k]` as :class:`ltr.data.sampling.BoxPairs`.
        number: P, how many of them are kept (about 0.35 MB each with efficientnet_lite0).
        backbone: in evaluation mode.
        folder: root of all caches. Each combination of `key`, backbone weights, number and content of the pairs (a few
            of them are looked at) has its own.
        key: everything that the pairs depend on.
        length: length reported for the data set (item k repeats item k - P).
        workers: loader processes used while computing.

    Raises:
        UserError: the folder cannot be written, the disk is full, or a pair cannot be read.
    """

    def __init__(
        self, pairs: Dataset, number: int, backbone: Backbone, folder: Path, key: str, length: int, workers: int
    ):
        if number < 1:
            raise ValueError(f"a cache of {number} pairs")
        self.number = number
        self.length = length
        self.folder = Path(folder) / _digest(pairs, number, backbone, key)
        self.arrays = cached_rows(
            self.folder,
            number,
            lambda start: _compute(start, number, pairs, backbone, workers),
            "feature cache",
            "Choose another --workspace, a smaller --data.feature_cache, or 0 for none.",
        )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        return {name: torch.from_numpy(np.array(array[k % self.number])) for name, array in self.arrays.items()}

    def __getstate__(self) -> dict:
        return {**self.__dict__, "arrays": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self.arrays = open_rows(self.folder)


def _digest(pairs: Dataset, number: int, backbone: Backbone, key: str) -> str:
    """Name of a cache. The pairs' pixels are in it: a folder of images may change, or another one take its place."""
    digest = hashlib.sha256(json.dumps([key, backbone.name, number]).encode())
    for value in backbone.state_dict().values():
        digest.update(value.cpu().numpy().tobytes())
    for k in np.linspace(0, number - 1, _PROBES).round().astype(int):
        for value in pairs[int(k)].values():
            digest.update(value.numpy().tobytes())
    return digest.hexdigest()[:16]


def _compute(start: int, number: int, pairs: Dataset, backbone: Backbone, workers: int) -> Iterator[Rows]:
    device = next(backbone.parameters()).device
    frozen = FrozenBackbone(backbone)
    with progress_bar(number, "backbone features", "pair", start) as bar:
        for batch in batches(Subset(pairs, range(start, number)), _BATCH, workers):
            rows = {k: v.numpy() for k, v in batch.items() if k.endswith("_box")}
            for which in ("reference", "test"):
                # Where the processor has it and there are no fused layers (which keep to float32), this halves the
                # time, and features are off by about 5% of their norm, mostly at random.
                with torch.autocast(device.type, torch.bfloat16):
                    features = frozen(batch[f"{which}_image"].to(device))
                rows |= {f"{which}_{level}": f.half().cpu().contiguous().numpy() for level, f in features.items()}
            yield rows
            bar.update(len(batch["test_box"]))
