"""A UTKFace and a Pointing'04 of a few grey squares, whose brightness tells the label, and settings to learn them."""

import csv
import shlex
from pathlib import Path

import cv2
import numpy as np

from ltr.dataset.biwi_videos import BIWI_LENGTHS

SYSTEMS = ("direct_huber", "direct_l2", "gaussian", "laplace", "softmax_ce_l2", "softmax_ce_l2_var", "ebm")

OPTIONS = shlex.split("""
    --device cpu --workers 0 --encoder.name efficientnet_lite0 --encoder.frozen_copies 2 --augment.size 32
    --augment.scale 1 1 --epochs 4 --batch_size 8 --loss.num_samples 32 --val_every 4 --log_every 10
""")


def make_utkface(root: Path, train: int = 64, test: int = 24) -> Path:
    """CORAL's split of images, the last test image being the first training image."""
    (root / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    first = None
    for table, number, day in (("utk_train.csv", train, 1), ("utk_test.csv", test, 2)):
        rows = []
        for k in range(number):
            years = int(rng.integers(21, 61))
            image = _square((years - 21) / 39, rng)
            if first is None:
                first = years, image
            if day == 2 and k == number - 1:
                years, image = first
            file = f"{years}_0_1_2017011{day}{k:06}.jpg"
            cv2.imwrite(str(root / "images" / file), image)
            rows.append([k, file, years - 21])
        with open(root / table, "w", newline="") as out:
            csv.writer(out).writerows([["", "file", "age"], *rows])
    return root


def make_pointing04(root: Path, people: int = 15) -> Path:
    """Crops whose upper half tells the pan and lower half the tilt."""
    (root / "crops").mkdir(parents=True)
    rng = np.random.default_rng(1)
    rows = []
    for person in range(1, people + 1):
        for k in range(4):
            tilt, pan = (int(v) for v in rng.choice([-90, -30, 0, 15, 60], 2))
            image = _square((pan + 90) / 150, rng)
            image[16:] = _square((tilt + 90) / 150, rng)[16:]
            file = f"person{person:02}1{k:02}{tilt:+}{pan:+}.jpg"
            cv2.imwrite(str(root / "crops" / file), image)
            rows.append([file, person, 1, tilt, pan])
    with open(root / "crops.csv", "w", newline="") as out:
        csv.writer(out).writerows([["file", "person", "series", "tilt", "pan"], *rows])
    return root


def _square(brightness: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.integers(-4, 5, (32, 32, 3))
    return np.clip(30 + 190 * brightness + noise, 0, 255).astype(np.uint8)


def turning_heads(videos, rng, more=()):
    """Poses of whole videos, each a slow random walk from somewhere; those in `more` have a frame more."""
    parts = []
    for number in videos:
        length = BIWI_LENGTHS[number - 1] + (number in more)
        parts.append(rng.uniform(-40, 40, (1, 3)) + rng.normal(0, 0.8, (length, 3)).cumsum(axis=0))
    return np.concatenate(parts)
