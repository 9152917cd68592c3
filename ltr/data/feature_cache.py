"""Backbone features computed once and cached on disk, for training heads on a frozen backbone without a GPU.

On a CPU the frozen backbone, decoding and augmentation cost more than training the head. A cache holds the features of
the first P pairs of a data set; pair k is then pair k mod P, with new candidate boxes each time. The three systems, and
every later run on the same data and seed, share one cache. An interrupted computation continues.
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
from ltr.data.disk_cache import Rows, cached_rows
from ltr.data.loading import batches
from ltr.data.row_files import RowFiles
from ltr.models.backbone import Backbone
from ltr.models.backbone.frozen import FrozenBackbone

_BATCH = 16
_PROBES = 16


class CachedFeatures(Dataset):
    """The features of the first P pairs under a backbone, computed on first use and cached in a folder.

    Item k holds {"reference_stride8", "reference_stride16", "test_stride8", "test_stride16"}, float16 (C, H, W), and
    "reference_box", "test_box", float32 (4,).

    Args:
        pairs: `pairs[k]` is a pair as of :class:`ltr.data.sampling.BoxPairs`.
        num_pairs: P (about 0.35 MB each with efficientnet_lite0).
        backbone: in evaluation mode.
        folder: root of all caches. Each combination of `key`, backbone weights, P and content of the pairs (checked by
            a few of them) has a folder of its own.
        key: everything that the pairs depend on.
        length: of the data set (item k repeats item k - P).
        workers: loader processes while computing.

    Raises:
        UserError: if the folder cannot be written, the disk is full, or a pair cannot be read; `cache[k]`, if its row
            is damaged.
    """

    def __init__(
        self, pairs: Dataset, num_pairs: int, backbone: Backbone, folder: Path, key: str, length: int, workers: int
    ):
        if num_pairs < 1:
            raise ValueError(f"a cache of {num_pairs} pairs")
        self.num_pairs = num_pairs
        self.length = length
        self.folder = Path(folder) / _digest(pairs, num_pairs, backbone, key)
        self.rows = cached_rows(
            self.folder,
            num_pairs,
            lambda start: _compute(start, num_pairs, pairs, backbone, workers),
            "feature cache",
            "Choose another --workspace, a smaller --data.feature_cache, or 0 for none.",
        )

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        return {name: torch.from_numpy(value) for name, value in self.rows.row(k % self.num_pairs).items()}

    def __getstate__(self) -> dict:
        return {**self.__dict__, "rows": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self.rows = RowFiles(self.folder)


def _digest(pairs: Dataset, num_pairs: int, backbone: Backbone, key: str) -> str:
    """Name of a cache. It depends on the pairs' pixels too, since the images of a folder may change."""
    digest = hashlib.sha256(json.dumps([key, backbone.name, num_pairs]).encode())
    for value in backbone.state_dict().values():
        digest.update(value.cpu().numpy().tobytes())
    for k in np.linspace(0, num_pairs - 1, _PROBES).round().astype(int):
        for value in pairs[int(k)].values():
            digest.update(value.numpy().tobytes())
    return digest.hexdigest()[:16]


def _compute(start: int, num_pairs: int, pairs: Dataset, backbone: Backbone, workers: int) -> Iterator[Rows]:
    device = next(backbone.parameters()).device
    frozen = FrozenBackbone(backbone)
    with progress_bar(num_pairs, "backbone features", "pair", start) as bar:
        for batch in batches(Subset(pairs, range(start, num_pairs)), _BATCH, workers):
            rows = {k: v.numpy() for k, v in batch.items() if k.endswith("_box")}
            for which in ("reference", "test"):
                # If the processor has bfloat16 and there are no fused layers (which stay in float32), this halves the
                # time. Features are off by about 5% of their norm, mostly at random.
                with torch.autocast(device.type, torch.bfloat16):
                    features = frozen(batch[f"{which}_image"].to(device))
                rows |= {f"{which}_{level}": f.half().cpu().contiguous().numpy() for level, f in features.items()}
            yield rows
            bar.update(len(batch["test_box"]))
