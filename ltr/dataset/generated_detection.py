"""Generated images for detection: pieces of photographs on photographs, with exact boxes, on disk in COCO's layout.

    python -m ltr.dataset.generated_detection FOLDER

makes a set on which small detectors can be trained and compared on a CPU. There are five categories, each a family of
outlines and the texture of one photograph: stones of gravel, bricks, leaves of grass, flowers of stained tissue, stars
of retina. What a category is, is easy to learn. Where exactly an object ends is not: it is turned and foreshortened at
random, lit in its own way, partly hidden by others or by the image's border, a little out of focus, and lies on a
photograph among pieces of other photographs, which are no objects.

A box is that of the whole outline, whatever covers it, clipped to the image (see :mod:`ltr.dataset.scenes`). No object
occurs of which less than VISIBLE_SHARE is seen.

Training and validation images share the five photographs of texture, but not the parts of them that are shown: training
takes the left TRAINING_PART of each and validation the rest. They share no background, nor any piece of one. A seed and
an image's number fix every pixel.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ltr.common.errors import UserError, cli_main
from ltr.dataset.base import hash_split
from ltr.dataset.generated import (
    IMAGE_SIZE,
    cut,
    draw_cutout,
    new_folder,
    photo_texture,
    read_json,
    remove_leftovers,
    superellipse,
)
from ltr.dataset.photographs import BENCHMARK_PHOTOGRAPHS, TRAINING_PHOTOGRAPHS, find_photographs
from ltr.dataset.scenes import Light, Scene, Sprite, Texture, Wave, clipped_box, fill

VERSION = 1
"""To be raised whenever pixels or boxes change, so that an older set on disk is written anew."""

MANIFEST = "generated_detection.json"
JPEG_QUALITY = 92
MAX_OBJECTS = 6
SIDES = (24.0, 180.0)
"""Pixels: the longer side of an object's box, before the image's border clips it, is in this range."""
MIN_SIDE = 12.0
"""Pixels: the shorter side of a box, clipped, is not below."""
MAX_RATIO = 3.0
"""The longer side of a box, clipped, over the shorter one is not above."""
VISIBLE_SHARE = 0.35
TRAINING_PART = 0.55

_STREAM = 3  # of random numbers; 1 and 2 are those of generated sequences
_SPLITS = ("train", "val")
_FIRST_ID = {"train": 1, "val": 500001}


@dataclass(frozen=True)
class Category:
    """What objects of a category have in common.

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
"""Label k is the k-th of them, from 1 on."""

_TEXTURES = {category.photo for category in CATEGORIES}
BACKGROUNDS = {
    "train": tuple(photo for photo in BENCHMARK_PHOTOGRAPHS if photo not in _TEXTURES),
    "val": tuple(photo for photo in TRAINING_PHOTOGRAPHS if photo not in _TEXTURES),
}


@dataclass(frozen=True)
class Picture:
    """An image to be, and what it shows.

    Attributes:
        scene: a scene of one frame.
        objects: of each object the number of its sprite and its label; the other sprites are no objects.
    """

    scene: Scene
    objects: tuple[tuple[int, int], ...]

    def boxes(self) -> np.ndarray:
        """float64 (n, 4): x, y, w, h in pixels of each object, clipped to the image."""
        return np.stack([clipped_box(self.scene.vertices(0, number), self.scene.size) for number, _ in self.objects])

    def image(self) -> np.ndarray:
        """uint8 (H, W, 3) RGB."""
        return self.scene.render(0)


def picture(split: str, index: int, seed: int = 0, photos: Sequence[str | Path] | None = None) -> Picture:
    """Image `index` of a split.

    Args:
        split: 'train' or 'val'.
        index: from 0 on.
        seed: another one gives other images.
        photos: photographs for backgrounds, names or files; those of the split if None.
    """
    random = np.random.RandomState([_STREAM, seed, _SPLITS.index(split), index])
    photos = photos or BACKGROUNDS[split]
    background = photos[random.randint(len(photos))]
    sprites, objects = [], ()
    while not objects:
        sprites, objects = _draw_sprites(random, split, photos, background)

    texture = _mirrored(background) if random.uniform() < 0.5 else photo_texture(background)
    fitting = max(IMAGE_SIZE[0] / texture.size[0], IMAGE_SIZE[1] / texture.size[1])
    scene = Scene(
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
            shadow_place=Wave(random.uniform(-0.5, 0.5)),
        ),
        noise=_between(random, 1, 6),
        grey=random.uniform() < 0.05,
        noise_seed=random.randint(2**31 - 1),
    )
    return Picture(scene, objects)


def _draw_sprites(
    random: np.random.RandomState, split: str, photos: Sequence[str | Path], background: str | Path
) -> tuple[list[Sprite], tuple[tuple[int, int], ...]]:
    """Objects and other pieces from back to front, and of each object its number and label."""
    kinds = [True] * random.randint(1, MAX_OBJECTS + 1) + [False] * random.randint(0, 4)
    random.shuffle(kinds)
    sprites, areas, labels = [], [], {}
    owner = np.zeros(IMAGE_SIZE[::-1], np.uint8)  # 1 + the number of the sprite that a pixel shows
    for is_object in kinds:
        for _ in range(12):  # places to try; where the image is full there is one object less
            label = random.randint(len(CATEGORIES)) + 1 if is_object else 0
            sprite = _draw_object(random, split, label) if is_object else _draw_piece(random, photos, background)
            outline = sprite.vertices(0)
            number, area = len(sprites), float(cv2.contourArea(outline.astype(np.float32)))
            after = owner.copy()
            fill(after, outline, number + 1)
            shown = np.bincount(after.ravel(), minlength=number + 2)[1:]
            hides = any(shown[other] < VISIBLE_SHARE * areas[other] for other in labels)
            if hides or is_object and not (shown[number] >= VISIBLE_SHARE * area and _is_sound(outline)):
                continue
            sprites.append(sprite)
            areas.append(area)
            owner = after
            if is_object:
                labels[number] = label
            break
    return sprites, tuple(labels.items())


def _is_sound(outline: np.ndarray) -> bool:
    """Whether what the image's border leaves of an object is a fair thing to ask for."""
    sides = clipped_box(outline, IMAGE_SIZE)[2:]
    return sides.min() >= MIN_SIDE and sides.max() >= SIDES[0] and sides.max() <= MAX_RATIO * sides.min()


def _draw_object(random: np.random.RandomState, split: str, label: int) -> Sprite:
    category = CATEGORIES[label - 1]
    side = _between(random, *SIDES)
    beyond = 0.5 * side if random.uniform() < 0.3 else -1.0
    outline = category.outline(random)
    unit = Sprite(
        outline - (outline.min(0) + outline.max(0)) / 2,
        texture=None,  # depends on the scale, which depends on the pose
        texture_matrix=None,
        x=Wave(random.uniform(-1, 1)),
        y=Wave(random.uniform(-1, 1)),
        room=(-beyond, -beyond, IMAGE_SIZE[0] + beyond, IMAGE_SIZE[1] + beyond),
        angle=Wave(random.uniform(0, 360)),
        log_aspect=Wave(random.uniform(-0.45, 0.45)),
        tilt=random.uniform(0, 180),
    )
    scale = side / np.ptp(unit.vertices(0), axis=0).max()
    # large objects show more of the texture, and show it larger
    magnification = np.sqrt(side / 90) * _between(random, 0.8, 1.25)
    texture = _lit_part(random, category, split, np.ptp(unit.outline, axis=0) * scale / magnification)
    width, height = texture.size
    to_texture = np.array([[scale / magnification, 0, width / 2], [0, scale / magnification, height / 2]])
    return replace(unit, texture=texture, texture_matrix=to_texture, log_scale=Wave(np.log(scale)))


def _lit_part(random: np.random.RandomState, category: Category, split: str, size: np.ndarray) -> Texture:
    """A part (width, height) of the split's side of a category's photograph, in a light of its own."""
    photo = photo_texture(category.photo).levels[0]
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
    """A part of any photograph that is no object."""
    extent = _between(random, 24, 110)
    cutout = draw_cutout(random, photos[random.randint(len(photos))], extent, background)
    outline, texture_matrix = cut(cutout, extent, random)
    x, y = (Wave(random.uniform(0, side)) for side in IMAGE_SIZE)
    return Sprite(outline, photo_texture(cutout.photo), texture_matrix, x, y, angle=Wave(random.uniform(-40, 40)))


def _mirrored(photo: str | Path) -> Texture:
    return Texture(np.ascontiguousarray(photo_texture(photo).levels[0][:, ::-1]))


def _between(random: np.random.RandomState, low: float, high: float) -> float:
    """Uniform in its logarithm."""
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


# -- on disk -------------------------------------------------------------------------------------------------------


def generated_detection(workspace: str | Path) -> Path:
    """The set of 800 training and 200 validation images in a workspace, made where it is missing; returns its folder.

    Raises:
        UserError: it cannot be written, or something else is in its place.
    """
    folder = Path(workspace) / "generated_detection"
    write_generated_detection(folder)
    return folder


def write_generated_detection(
    root: str | Path, train: int = 800, val: int = 200, seed: int = 0, photos: str | Path | None = None
) -> None:
    """Write a set in COCO's layout, as of 2017; :func:`ltr.dataset.read_coco_detection` reads it.

    It appears under its name only when it is complete. One that is there already, of the same version and arguments, is
    kept, another is replaced.

    Args:
        root: the folder to be; its parents are made where they do not exist.
        train, val: numbers of images. Those of a smaller number are the first of a larger one.
        seed: another one gives other images.
        photos: a folder of photographs for the backgrounds, a tenth of them for validation; the packaged ones if None.

    Raises:
        UserError: the folder cannot be written or holds something else, or there are too few photographs.
        ValueError: there is no such number of images.
    """
    root = Path(root).absolute()
    counts = {"train": train, "val": val}
    if not all(0 < count <= 500000 for count in counts.values()):
        raise ValueError(f"a set cannot have {train} training and {val} validation images")
    backgrounds = BACKGROUNDS if photos is None else _split_photographs(Path(photos).absolute())
    wanted = {"version": VERSION, "seed": seed, **counts, "photos": photos and str(Path(photos).absolute())}
    if _is_complete(root, wanted):
        return
    prefix = f".partial-{root.name}-"
    try:
        if root.exists() and not isinstance(read_json(root / MANIFEST), dict) and any(root.iterdir()):
            raise UserError(f"{root} is there already and is no generated detection set; choose another folder")
        root.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(root.parent, prefix)
        with (
            new_folder(root, lambda: _is_complete(root, wanted), prefix) as partial,
            tqdm(total=train + val, desc="generating images", unit="image", disable=None) as bar,
        ):
            (partial / "annotations").mkdir()
            for split, count in counts.items():
                _write_split(partial, split, count, seed, backgrounds[split], bar)
            (partial / MANIFEST).write_text(json.dumps(wanted) + "\n")
    except OSError as error:
        raise UserError(
            f"the generated detection set cannot be written to {root}: {error}; choose another folder"
        ) from error


def _write_split(folder: Path, split: str, count: int, seed: int, photos: Sequence[str | Path], bar: tqdm) -> None:
    (folder / f"{split}2017").mkdir()
    images, annotations = [], []
    for index in range(count):
        number = _FIRST_ID[split] + index
        drawn = picture(split, index, seed, photos)
        name, image = f"{number:012d}.jpg", drawn.image()
        _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        (folder / f"{split}2017" / name).write_bytes(data.tobytes())
        images.append({"id": number, "file_name": name, "width": image.shape[1], "height": image.shape[0]})
        for k, (box, (_, label)) in enumerate(zip(drawn.boxes(), drawn.objects, strict=True)):
            low, high = box[:2].round(2), (box[:2] + box[2:]).round(2)
            x, y, w, h = (round(float(value), 2) for value in (*low, *(high - low)))
            annotations.append(
                {
                    "id": 10 * number + k,
                    "image_id": number,
                    "category_id": label,
                    "bbox": [x, y, w, h],
                    "area": round(w * h, 2),
                    "iscrowd": 0,
                    "segmentation": [],
                }
            )
        bar.update()
    categories = [
        {"id": label, "name": category.name, "supercategory": "generated"}
        for label, category in enumerate(CATEGORIES, start=1)
    ]
    info = {"description": "Generated images for detection", "version": str(VERSION), "year": 2017}
    content = {"info": info, "images": images, "categories": categories, "annotations": annotations}
    (folder / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))


def _split_photographs(folder: Path) -> dict[str, tuple[Path, ...]]:
    files = {file.relative_to(folder).as_posix(): file for file in find_photographs(folder)}
    if len(files) < 2:
        raise UserError(f"{folder} holds one photograph; training and validation need one each at least")
    return {split: tuple(files[name] for name in sorted(hash_split(files, split))) for split in _SPLITS}


def _is_complete(root: Path, wanted: dict) -> bool:
    """Whether a set on disk is of this version and these arguments, and no file of it is missing."""
    if read_json(root / MANIFEST) != wanted:
        return False
    try:
        counts = [len(os.listdir(root / f"{split}2017")) for split in _SPLITS]
    except OSError:
        return False
    files = [root / "annotations" / f"instances_{split}2017.json" for split in _SPLITS]
    return counts == [wanted[split] for split in _SPLITS] and all(file.is_file() for file in files)


@cli_main
def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m ltr.dataset.generated_detection",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="where the set goes")
    parser.add_argument("--train", type=int, default=800, help="training images (800)")
    parser.add_argument("--val", type=int, default=200, help="validation images (200)")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other images (0)")
    parser.add_argument("--photos", type=Path, help="folder of photographs for backgrounds; default: packaged ones")
    o = parser.parse_args(argv)
    try:
        write_generated_detection(o.folder, o.train, o.val, o.seed, o.photos)
    except ValueError as error:
        raise UserError(str(error)) from error


if __name__ == "__main__":
    main()
