"""Features of augmented images, computed once and cached on disk: for training on a frozen encoder without a GPU."""

from __future__ import annotations

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
from ltr.data.regression_samples import RegressionSamples
from ltr.models.regression.image_encoder import ImageEncoder

_BATCH = 16
_PROBES = 16


class EncodedSamples(Dataset):
    """Sample k is {"x": float32 (C,), "label": float32 (D,)}, from features of `copies` versions of each of N images.

    In training, samples go through all N images in an order that changes after every N samples, and take one version
    after the other. In evaluation there is one version, and sample k is image k.

    Args:
        samples: are encoded, the first `copies` * N of them.
        copies: P, versions of each image.
        encoder: the frozen network.
        device: on which features are computed, unless they are cached already.
        folder: root of all caches. Each combination of settings, encoder and content (checked by a few samples) has a
            folder of its own; an interrupted computation continues.
        seed: of the order in training.
        length: number of samples; all cached ones if None.
        workers: loader processes while computing.

    Raises:
        UserError: if an image cannot be read, the folder cannot be written, or a file in it is damaged.
    """

    def __init__(
        self,
        samples: RegressionSamples,
        copies: int,
        encoder: ImageEncoder,
        device: torch.device,
        folder: Path,
        seed: int = 0,
        length: int | None = None,
        workers: int = 0,
    ):
        self.images = len(samples.images)
        self.copies, self.seed, self.train = copies, seed, samples.train
        num_rows = copies * self.images
        self.length = num_rows if length is None else length
        folder = Path(folder) / _digest(samples, num_rows, encoder)
        arrays = cached_rows(
            folder,
            num_rows,
            lambda start: _compute(start, Subset(samples, range(num_rows)), encoder, device, workers),
            "features",
            "Choose another --workspace, or --encoder.frozen_copies 0 for none.",
        )
        arrays.check()
        self.features, self.labels = (torch.from_numpy(np.array(arrays[name])) for name in ("features", "labels"))
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0))  # the last epoch and its order

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        if not 0 <= k < self.length:
            raise IndexError(f"there are {self.length} samples, there is no sample {k}")
        epoch, position = divmod(k, self.images)
        if self.train:
            if self._order[0] != epoch:
                self._order = (epoch, np.random.default_rng([self.seed, epoch]).permutation(self.images))
            position = int(self._order[1][position])
        row = epoch % self.copies * self.images + position
        return {"x": self.features[row], "label": self.labels[row]}


def _digest(samples: RegressionSamples, number: int, encoder: ImageEncoder) -> str:
    """Name of a cache. It depends on pixels too, since the images of a folder may change."""
    labels = hashlib.sha256(samples.images.labels.tobytes()).hexdigest()
    about = [encoder.name, number, samples.seed, samples.train, vars(samples.settings), labels]
    digest = hashlib.sha256(json.dumps(about).encode())
    for value in encoder.state_dict().values():
        digest.update(value.cpu().numpy().tobytes())
    for k in np.linspace(0, number - 1, _PROBES).round().astype(int):
        digest.update(samples[int(k)]["x"].numpy().tobytes())
    return digest.hexdigest()[:16]


def _compute(start: int, samples: Subset, encoder: ImageEncoder, device: torch.device, workers: int) -> Iterator[Rows]:
    fast = encoder.for_inference(device)
    number = len(samples)
    with progress_bar(number, "image features", "image", start) as bar:
        for batch in batches(Subset(samples, range(start, number)), _BATCH, workers):
            with torch.no_grad():
                features = fast(batch["x"].to(device)).float().cpu()
            yield {"features": features.numpy(), "labels": batch["label"].numpy()}
            bar.update(len(features))
