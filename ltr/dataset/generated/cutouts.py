"""Cut-outs: the outline and position of an object in a photograph, given by hand or drawn at random."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from ltr.dataset.generated.textures import photo_texture

_VERTICES = 160  # of an outline


@dataclass(frozen=True)
class Cutout:
    """An object cut from a photograph around (x, y), `rx` and `ry` pixels to each side.

    Attributes:
        photo: name of a packaged photograph, or an image file.
        power: exponent of the outline, a superellipse |u|^p + |v|^p = 1: 2 gives an ellipse, large values a rectangle.
        wobble: deviation of the outline's radius from the superellipse, as a share of the radius.
        flex: how far parts of the object move against each other, as a share of half its size; 0 for a rigid object.
        flex_period: period of that motion in frames.
    """

    photo: str | Path
    x: float
    y: float
    rx: float
    ry: float
    power: float = 2.0
    wobble: float = 0.0
    flex: float = 0.0
    flex_period: float = 30.0


def cut(cutout: Cutout, extent: float, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """An object's outline, (V, 2) in pixels at scale 1, and the (2, 3) map from there to its photograph."""
    scale = extent / (2 * np.sqrt(cutout.rx * cutout.ry))
    outline = superellipse(cutout.power, cutout.wobble, random) * (cutout.rx * scale, cutout.ry * scale)
    return outline, np.array([[1 / scale, 0, cutout.x], [0, 1 / scale, cutout.y]])


def superellipse(power: float, wobble: float, random: np.random.RandomState) -> np.ndarray:
    """The outline |u|^p + |v|^p = 1, (V, 2), with a radius that deviates from it by a share of about `wobble`."""
    angle = np.linspace(0, 2 * np.pi, _VERTICES, endpoint=False)
    direction = np.stack([np.cos(angle), np.sin(angle)], 1)
    radius = (np.abs(direction) ** power).sum(1) ** (-1 / power)
    for order in (2, 3, 4, 5):
        share = wobble / order * random.uniform(0.5, 1.5)
        radius = radius * (1 + share * np.cos(order * angle + random.uniform(0, 2 * np.pi)))
    return radius[:, None] * direction


def draw_cutout(random: np.random.RandomState, photo: str | Path, extent: float, background: str | Path) -> Cutout:
    """A structured part of a photograph that stands out from the background: the best of six random ones."""
    thumbnail, behind = _thumbnail(photo), _thumbnail(background).mean
    width, height = photo_texture(photo).size
    best: Cutout | None = None
    best_score = -1.0
    for _ in range(6):
        ratio = np.exp(random.uniform(-0.5, 0.5))
        # from a third of the displayed size (smaller parts would look blurred) to most of the photograph
        radius = np.clip(min(width, height) * random.uniform(0.08, 0.4), extent / 3, 0.45 * min(width, height))
        rx, ry = min(radius * ratio, width / 2), min(radius / ratio, height / 2)
        x, y = random.uniform(rx, max(width - rx, rx + 1)), random.uniform(ry, max(height - ry, ry + 1))
        power = float(random.choice([2.0, 2.0, 2.5, 4.0, 8.0]))
        cutout = Cutout(photo, x, y, rx, ry, power, wobble=random.uniform(0, 0.25))
        scale = thumbnail.image.shape[1] / width
        left, top = int((x - rx) * scale), int((y - ry) * scale)
        part = slice(top, int((y + ry) * scale) + 1), slice(left, int((x + rx) * scale) + 1)
        apart = np.linalg.norm(thumbnail.image[part].reshape(-1, 3).mean(0) - behind)
        score = min(thumbnail.grey[part].reshape(-1).std(), 40) + 0.5 * min(float(apart), 80)
        if score > best_score:
            best, best_score = cutout, score
    assert best is not None  # scores are not negative
    return best


@dataclass(frozen=True)
class _Thumbnail:
    """A small copy of a photograph, float32: the image (H, W, 3), its grey (H, W) and its mean colour (3,)."""

    image: np.ndarray
    grey: np.ndarray
    mean: np.ndarray


@lru_cache(maxsize=1024)
def _thumbnail(photo: str | Path) -> _Thumbnail:
    image = photo_texture(photo).image
    scale = 48 / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.float32)
    return _Thumbnail(small, small.mean(-1), small.reshape(-1, 3).mean(0))
