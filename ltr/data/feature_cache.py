"""Backbone features computed once and kept on disk, for training heads on a frozen backbone without a GPU.

On a CPU the frozen backbone, the decoding and the augmentation cost more than the head that is trained. A cache holds
the features of the first P pairs of a data set; pair k is then pair k mod P, with fresh candidate boxes each time. The
three systems, and every later run on the same data and seed, share one cache.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from ebm_common.errors import UserError
from ltr.models.backbone import Backbone
from ltr.models.backbone.frozen import FrozenBackbone

logger = logging.getLogger(__name__)

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
        if not self.folder.is_dir():
            with _locked(self.folder):
                if not self.folder.is_dir():  # another process may have made it meanwhile
                    _make(self.folder, pairs, number, backbone, workers)
        self.arrays = self._open()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        return {name: torch.from_numpy(np.array(array[k % self.number])) for name, array in self.arrays.items()}

    def __getstate__(self) -> dict:
        return {**self.__dict__, "arrays": None}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self.arrays = self._open()

    def _open(self) -> dict[str, np.memmap]:
        return {f.stem: np.load(f, mmap_mode="r") for f in sorted(self.folder.glob("*.npy"))}


def _digest(pairs: Dataset, number: int, backbone: Backbone, key: str) -> str:
    """Name of a cache. The pairs' pixels are in it: a folder of images may change, or another one take its place."""
    digest = hashlib.sha256(json.dumps([key, backbone.name, number]).encode())
    for value in backbone.state_dict().values():
        digest.update(value.cpu().numpy().tobytes())
    for k in np.linspace(0, number - 1, _PROBES).round().astype(int):
        for value in pairs[int(k)].values():
            digest.update(value.numpy().tobytes())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process computes a cache, others that want the same wait for it. A killed one leaves no lock behind."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = open(folder.with_suffix(".lock"), "w")
    except OSError as error:
        raise _not_written(folder, error) from error
    with file:
        try:
            import fcntl
        except ImportError:  # Windows has no such lock: two trainings that start together both compute
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            logger.info("waiting for another process that computes the same features in %s", folder)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(folder: Path, pairs: Dataset, number: int, backbone: Backbone, workers: int) -> None:
    """Compute into a folder beside it, which gets its name when it is complete and goes when it is not."""
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    try:
        part.mkdir()
        _compute(part, pairs, number, backbone, workers)
        os.rename(part, folder)
    except OSError as error:
        raise _not_written(folder, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _not_written(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"the feature cache {folder} cannot be written: {error.strerror or error}. Choose another --workspace, a "
        "smaller --data.feature_cache, or 0 for none."
    )


def _compute(folder: Path, pairs: Dataset, number: int, backbone: Backbone, workers: int) -> None:
    loader = DataLoader(Subset(pairs, range(number)), _BATCH, num_workers=workers)
    arrays: dict[str, np.memmap] = {}
    device = next(backbone.parameters()).device
    frozen = FrozenBackbone(backbone)
    seconds = 0.5 if os.isatty(2) else 30  # a log file needs fewer lines than a terminal
    bar = tqdm(total=number, desc="backbone features", unit="pair", mininterval=seconds, dynamic_ncols=True)
    with bar:
        for start, batch in zip(range(0, number, _BATCH), _clean_errors(loader, pairs), strict=True):
            out = {k: v.numpy() for k, v in batch.items() if k.endswith("_box")}
            for which in ("reference", "test"):
                # Where the processor has it and there are no fused layers (which keep to float32), this halves the
                # time, and features are off by about 5% of their norm, mostly at random.
                with torch.autocast(device.type, torch.bfloat16):
                    features = frozen(batch[f"{which}_image"].to(device))
                out |= {f"{which}_{level}": f.half().cpu().contiguous().numpy() for level, f in features.items()}
            if not arrays:
                arrays = {k: _new_array(folder / f"{k}.npy", (number, *v.shape[1:]), v.dtype) for k, v in out.items()}
            for name, value in out.items():
                arrays[name][start : start + len(value)] = value
            bar.update(len(batch["test_box"]))
    for array in arrays.values():
        array.flush()


def _clean_errors(loader: DataLoader, pairs: Dataset) -> Iterator[dict[str, Tensor]]:
    batches = iter(loader)
    for start in range(0, len(loader.dataset), _BATCH):
        try:
            batch = next(batches)
        except UserError:  # from a loader process, with a traceback in its message: let it happen here
            for k in range(start, min(start + _BATCH, len(loader.dataset))):
                pairs[k]
            raise
        yield batch


def _new_array(file: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.memmap:
    """An array on disk whose space is taken at once: a disk that fills later would kill the process without a word."""
    array = np.lib.format.open_memmap(file, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):
        with open(file, "r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
    return array
