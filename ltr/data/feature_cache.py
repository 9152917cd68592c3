"""Backbone features computed once and kept on disk, for training heads on a frozen backbone without a GPU.

On a CPU the frozen backbone, the decoding and the augmentation cost more than the head that is trained. A cache holds
the features of the first P pairs of a data set; pair k is then pair k mod P, with fresh candidate boxes each time. The
three systems, and every later run on the same data and seed, share one cache.
"""

import copy
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from ltr.models.backbone import Backbone
from ltr.models.backbone.fold import fold_batch_norms

_BATCH = 16


class CachedFeatures(Dataset):
    """The features of `pairs[0 .. number - 1]` under `backbone`, computed on first use and kept in `folder`.

    Item k holds {"reference_stride8", "reference_stride16", "test_stride8", "test_stride16"}, float16 (C, H, W), and
    "reference_box", "test_box", float32 (4,).

    Args:
        pairs: what the features are computed of; `pairs[k]` as :class:`ltr.data.sampling.BoxPairs`.
        number: P, how many of them are kept (about 0.35 MB each with efficientnet_lite0).
        backbone: in evaluation mode.
        folder: root of all caches; each combination of `key`, backbone and number has its own.
        key: everything that the pairs depend on.
        length: length reported for the data set (item k repeats item k - P).
        workers: loader processes used while computing.
    """

    def __init__(
        self, pairs: Dataset, number: int, backbone: Backbone, folder: Path, key: str, length: int, workers: int
    ):
        self.number = number
        self.length = length
        digest = hashlib.sha256(json.dumps([key, backbone.name, number]).encode()).hexdigest()[:16]
        self.folder = Path(folder) / digest
        if not (self.folder / "complete").is_file():
            self._compute(pairs, backbone, workers)
        self.arrays = {f.stem: np.load(f, mmap_mode="r") for f in sorted(self.folder.glob("*.npy"))}

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        return {name: torch.from_numpy(np.array(array[k % self.number])) for name, array in self.arrays.items()}

    def __getstate__(self) -> dict:
        return {**self.__dict__, "arrays": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self.arrays = {f.stem: np.load(f, mmap_mode="r") for f in sorted(self.folder.glob("*.npy"))}

    def _compute(self, pairs: Dataset, backbone: Backbone, workers: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        loader = DataLoader(Subset(pairs, range(self.number)), _BATCH, num_workers=workers)
        arrays: dict[str, np.memmap] = {}
        device = next(backbone.parameters()).device
        backbone = fold_batch_norms(copy.deepcopy(backbone).eval()).to(memory_format=torch.channels_last)
        for step, batch in enumerate(tqdm(loader, desc="backbone features", unit="batch")):
            out = {k: v.numpy() for k, v in batch.items() if k.endswith("_box")}
            for which in ("reference", "test"):
                images = batch[f"{which}_image"].to(device).float().div_(255)
                # Stored in half precision anyway; bfloat16 halves the time where the processor has it.
                with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
                    features = backbone(images.contiguous(memory_format=torch.channels_last))
                out |= {f"{which}_{level}": f.half().cpu().contiguous().numpy() for level, f in features.items()}
            for name, value in out.items():
                if name not in arrays:
                    shape = (self.number, *value.shape[1:])
                    arrays[name] = np.lib.format.open_memmap(self.folder / f"{name}.npy", "w+", value.dtype, shape)
                arrays[name][step * _BATCH : step * _BATCH + len(value)] = value
        for array in arrays.values():
            array.flush()
        (self.folder / "complete").touch()
