"""Generated images for detection: pieces of photographs on photographs, with exact boxes.

There are five categories, each with a family of outlines and the texture of one photograph: stones of gravel, bricks,
leaves of grass, flowers of stained tissue, stars of retina. The category is easy to learn. The exact boundary of an
object is not: each object is rotated and foreshortened at random, has its own light, is partly hidden by others or by
the image's border, is a little out of focus, and lies among pieces of other photographs, which are no objects.

A box encloses the whole outline, covered or not, clipped to the image (see :mod:`ltr.dataset.generated.scene`). At
least VISIBLE_SHARE of every object is visible.

Training and validation images share the five photographs of texture, but show different parts of them: training takes
the left TRAINING_PART of each and validation the rest. They share no background, nor any piece of one. A seed and an
image's number fix every pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from ltr.dataset.generated.cutouts import cut, draw_cutout, superellipse
from ltr.dataset.generated.geometry import clipped_box, fill
from ltr.dataset.generated.light import Light
from ltr.dataset.generated.photographs import BENCHMARK_PHOTOGRAPHS, TRAINING_PHOTOGRAPHS
from ltr.dataset.generated.recipes import IMAGE_SIZE
from ltr.dataset.generated.scene import SyntheticScene
from ltr.dataset.generated.sprites import Sprite
from ltr.dataset.generated.textures import Texture, photo_texture
from ltr.dataset.generated.waves import Wave

MAX_OBJECTS = 6
SIDES = (24.0, 180.0)
"""Range, in pixels, of the longer side of an object's box before the image's border clips it."""
MIN_SIDE = 12.0
"""Least shorter side of a clipped box, in pixels."""
MAX_RATIO = 3.0
"""Greatest ratio of the longer to the shorter side of a clipped box."""
VISIBLE_SHARE = 0.35
"""Least share of an object's area that is in the image and not covered."""
TRAINING_PART = 0.55
"""Share of a texture's width that training images use; validation images use the rest."""

_STREAM = 3  # of random numbers; the benchmark has 1, the training sequences 2
SPLITS = ("train", "val")


@dataclass(frozen=True)
class Category:
    """A category of objects.

    Attributes:
        name: of the category.
        photo: packaged photograph of their texture.
        outline: draws an outline (V, 2) about the origin, of any size.
        tint: factor of each channel, since the photograph may be grey.
    """

    name: str
    photo: str
    outline: Callable[[np.random.RandomState], np.ndarray]
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)


def _stone(random: np.random.RandomState) -> np.ndarray:
    return superellipse(random.uniform(2, 2.6), 0.3, random) * (random.uniform(1, 1.5), 1)


def _brick(random: np.random.RandomState) -> np.ndarray:
    return superellipse(12, 0.02, random) * (random.uniform(1.5, 2.8), 1)


def _leaf(random: np.random.RandomState) -> np.ndarray:
    """Two arcs that meet in two points, bent sideways."""
    along = np.cos(np.linspace(0, np.pi, 60))
    half = random.uniform(0.4, 0.6) * (1 - along**2) ** random.uniform(1.0, 1.4)
    bend = random.uniform(-0.35, 0.35) * (1 - along**2)
    return np.concatenate([np.stack([along, bend + half], 1), np.stack([along, bend - half], 1)[-2:0:-1]])


def _flower(random: np.random.RandomState) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 160, endpoint=False)
    radius = 1 + random.uniform(0.14, 0.24) * np.cos(random.randint(5, 8) * angle)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)


def _star(random: np.random.RandomState) -> np.ndarray:
    points = random.randint(4, 7)
    angle = np.arange(2 * points) * np.pi / points
    radius = np.where(np.arange(2 * points) % 2, random.uniform(0.42, 0.6), 1.0)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)


CATEGORIES = (
    Category("stone", "gravel", _stone, (0.95, 1.0, 1.08)),
    Category("brick", "brick", _brick, (1.3, 0.85, 0.7)),
    Category("leaf", "grass", _leaf, (0.8, 1.1, 0.55)),
    Category("flower", "tissue", _flower),
    Category("star", "retina", _star),
)
"""Label k is the k-th category; labels start at 1."""

_TEXTURES = {category.photo for category in CATEGORIES}
BACKGROUNDS = {
    "train": tuple(photo for photo in BENCHMARK_PHOTOGRAPHS if photo not in _TEXTURES),
    "val": tuple(photo for photo in TRAINING_PHOTOGRAPHS if photo not in _TEXTURES),
}


@dataclass(frozen=True)
class DetectionScene:
    """A scene of one frame and the objects in it.

    Attributes:
        scene: the scene; some of its sprites are no objects.
        objects: the index of the sprite and the label of each object.
    """

    scene: SyntheticScene
    objects: tuple[tuple[int, int], ...]

    def boxes(self) -> np.ndarray:
        """float64 (n, 4): x, y, w, h in pixels of each object, clipped to the image."""
        return np.stack([clipped_box(self.scene.vertices(0, number), self.scene.size) for number, _ in self.objects])

    def image(self) -> np.ndarray:
        """uint8 (H, W, 3) RGB."""
        return self.scene.render(0)


def draw_scene(split: str, index: int, seed: int = 0, photos: Sequence[str | Path] | None = None) -> DetectionScene:
    """Draws image `index` of a split.

    Args:
        split: 'train' or 'val'.
        index: starts at 0.
        seed: another seed gives other images.
        photos: photographs for backgrounds, names or files; those of the split if None.
    """
    random = np.random.RandomState([_STREAM, seed, SPLITS.index(split), index])
    photos = photos or BACKGROUNDS[split]
    background = photos[random.randint(len(photos))]
    sprites: list[Sprite] = []
    objects: tuple[tuple[int, int], ...] = ()
    while not objects:
        sprites, objects = _draw_sprites(random, split, photos, background)

    texture = _mirrored(background) if random.uniform() < 0.5 else photo_texture(background)
    fitting = max(IMAGE_SIZE[0] / texture.size[0], IMAGE_SIZE[1] / texture.size[1])
    scene = SyntheticScene(
        size=IMAGE_SIZE,
        length=1,
        background=texture,
        zoom=Wave(np.log(fitting * _between(random, 1.02, 1.9))),
        pan_x=Wave(random.uniform(-1, 1)),
        pan_y=Wave(random.uniform(-1, 1)),
        sprites=tuple(sprites),
        target=0,
        defocus=Wave(_between(random, 0.4, 1.3)),
        light=Light(
            exposure=Wave(random.uniform(-0.6, 0.5)),
            tint=tuple(random.uniform(0.9, 1.1, 3)),
            shadow_depth=random.uniform(0.2, 0.6) if random.uniform() < 0.25 else 0.0,
            shadow_angle=random.uniform(0, 360),
            shadow_position=Wave(random.uniform(-0.5, 0.5)),
        ),
        noise=_between(random, 1, 6),
        grey=random.uniform() < 0.05,
        noise_seed=random.randint(2**31 - 1),
    )
    return DetectionScene(scene, objects)


def _draw_sprites(
    random: np.random.RandomState, split: str, photos: Sequence[str | Path], background: str | Path
) -> tuple[list[Sprite], tuple[tuple[int, int], ...]]:
    """Objects and other pieces from back to front, and the index and label of each object."""
    kinds = [True] * random.randint(1, MAX_OBJECTS + 1) + [False] * random.randint(0, 4)
    random.shuffle(kinds)
    sprites: list[Sprite] = []
    areas: list[float] = []
    labels: dict[int, int] = {}
    owner = np.zeros(IMAGE_SIZE[::-1], np.uint8)  # 1 + the index of the sprite that a pixel shows
    for is_object in kinds:
        for _ in range(12):  # attempts to place it; if the image is full, there is one object less
            label = random.randint(len(CATEGORIES)) + 1 if is_object else 0
            sprite = _draw_object(random, split, label) if is_object else _draw_piece(random, photos, background)
            outline = sprite.vertices(0)
            index, area = len(sprites), float(cv2.contourArea(outline.astype(np.float32)))
            after = owner.copy()
            fill(after, outline, index + 1)
            shown = np.bincount(after.ravel(), minlength=index + 2)[1:]
            hides = any(shown[other] < VISIBLE_SHARE * areas[other] for other in labels)
            if hides or is_object and not (shown[index] >= VISIBLE_SHARE * area and _is_learnable(outline)):
                continue
            sprites.append(sprite)
            areas.append(area)
            owner = after
            if is_object:
                labels[index] = label
            break
    return sprites, tuple(labels.items())


def _is_learnable(outline: np.ndarray) -> bool:
    """Whether the part of an object in the image is large and compact enough for a detector."""
    sides = clipped_box(outline, IMAGE_SIZE)[2:]
    return sides.min() >= MIN_SIDE and sides.max() >= SIDES[0] and sides.max() <= MAX_RATIO * sides.min()


def _draw_object(random: np.random.RandomState, split: str, label: int) -> Sprite:
    category = CATEGORIES[label - 1]
    side = _between(random, *SIDES)
    beyond = 0.5 * side if random.uniform() < 0.3 else -1.0
    outline = category.outline(random)
    unit = Sprite(
        outline - (outline.min(0) + outline.max(0)) / 2,
        texture=photo_texture(category.photo),  # replaced below: its size depends on the scale, and that on the pose
        texture_matrix=np.eye(2, 3),
        x=Wave(random.uniform(-1, 1)),
        y=Wave(random.uniform(-1, 1)),
        room=(-beyond, -beyond, IMAGE_SIZE[0] + beyond, IMAGE_SIZE[1] + beyond),
        angle=Wave(random.uniform(0, 360)),
        log_aspect=Wave(random.uniform(-0.45, 0.45)),
        tilt=random.uniform(0, 180),
    )
    scale = side / np.ptp(unit.vertices(0), axis=0).max()
    # large objects show more of the texture, at a larger magnification
    magnification = np.sqrt(side / 90) * _between(random, 0.8, 1.25)
    texture = _lit_part(random, category, split, np.ptp(unit.outline, axis=0) * scale / magnification)
    width, height = texture.size
    to_texture = np.array([[scale / magnification, 0, width / 2], [0, scale / magnification, height / 2]])
    return replace(unit, texture=texture, texture_matrix=to_texture, log_scale=Wave(np.log(scale)))


def _lit_part(random: np.random.RandomState, category: Category, split: str, size: np.ndarray) -> Texture:
    """A random part (width, height) of the split's side of a category's photograph, with its own light."""
    photo = photo_texture(category.photo).image
    border = int(TRAINING_PART * photo.shape[1])
    side = photo[:, :border] if split == "train" else photo[:, border:]
    height, width = side.shape[:2]
    w, h = min(int(size[0]) + 4, width), min(int(size[1]) + 4, height)
    x, y = random.randint(width - w + 1), random.randint(height - h + 1)
    part = side[y : y + h, x : x + w].astype(np.float32)

    mean = part.mean((0, 1))
    tint = np.array(category.tint) * random.uniform(0.9, 1.1, 3)
    part = mean + (part - mean) * random.uniform(0.8, 1.3)
    part *= tint * 2 ** random.uniform(-0.5, 0.5)
    direction, depth = random.uniform(0, 2 * np.pi), random.uniform(0, 0.35)
    across = np.linspace(-1, 1, w)[None] * np.cos(direction) + np.linspace(-1, 1, h)[:, None] * np.sin(direction)
    part *= (1 + depth * across).astype(np.float32)[..., None]  # light from one side
    return Texture(np.clip(np.round(part), 0, 255).astype(np.uint8))


def _draw_piece(random: np.random.RandomState, photos: Sequence[str | Path], background: str | Path) -> Sprite:
    """A piece of any photograph that is no object."""
    extent = _between(random, 24, 110)
    cutout = draw_cutout(random, photos[random.randint(len(photos))], extent, background)
    outline, texture_matrix = cut(cutout, extent, random)
    x, y = (Wave(random.uniform(0, side)) for side in IMAGE_SIZE)
    return Sprite(outline, photo_texture(cutout.photo), texture_matrix, x, y, angle=Wave(random.uniform(-40, 40)))


def _mirrored(photo: str | Path) -> Texture:
    return Texture(np.ascontiguousarray(photo_texture(photo).image[:, ::-1]))


def _between(random: np.random.RandomState, low: float, high: float) -> float:
    """A random number whose logarithm is uniformly distributed."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))))
