"""Data sets in COCO's format as COCO itself, Roboflow, CVAT and Label Studio write them.

Of a folder, the first of these files is read (SPLIT is train or val; for val also valid or validation):

    annotations/instances_SPLIT2014.json, ..._SPLIT2017.json    COCO; images in SPLIT2014/ or images/SPLIT2014/
    annotations/instances_SPLIT.json, annotations/SPLIT.json    CVAT, with subsets; images in images/SPLIT/ or images/
    SPLIT/_annotations.coco.json                                Roboflow; images beside it
    annotations/instances_default.json                          CVAT, without subsets; images in images/
    result.json                                                 Label Studio; images in images/
    _annotations.coco.json                                      Roboflow, without splits; images beside it

Upper and lower case count alike. The last three have no split: a fixed tenth of their images, which a hash of the names
chooses, is for validation, and the rest for training.

An image whose file is not where its `file_name` says is searched by the end of that name, in any letter case. Where
two files fit equally well, none is used. Annotations that cannot be used are counted and left out.
"""

from __future__ import annotations

import json
import logging
import math
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from ltr.common.files import read_bytes
from ltr.dataset.base import DatasetError, dataset_root, hash_split
from ltr.dataset.box_forms import many_outside, outside_image

logger = logging.getLogger(__name__)

_SETTING = "coco"
_YEARS = (2014, 2017)
_ALIASES = {"train": ("train", "training"), "val": ("val", "valid", "validation")}
_ROBOFLOW = "_annotations.coco.json"
_UNSPLIT = ("annotations/instances_default.json", "instances_default.json", "result.json", _ROBOFLOW)

MIN_SIDE = 1.0
"""Pixels; COCO has smaller boxes, which are useless for training."""


@dataclass(frozen=True)
class CocoPart:
    """Where a part of a data set lies.

    Attributes:
        annotations: the annotation file.
        images: the folder of the images.
        share: 'train' or 'val', the share of the images that a hash of their names gives; None for all images.
    """

    annotations: Path
    images: Path
    share: str | None = None

    def options(self, root: str | Path) -> list[str | None]:
        """What decides which objects are found, besides the content of the files."""
        return [os.path.relpath(self.images, root), self.share]


@dataclass(frozen=True, eq=False)
class CocoObjects:
    """N images and their M objects that are no crowd, as annotated.

    Attributes:
        part: where they lie.
        files: names of the images in `part.images`; all exist.
        ids: int64 (N,).
        sizes: int32 (N, 2), widths and heights; 0 where the file does not say.
        image_of: int64 (M,), indices of images.
        boxes: float64 (M, 4), x, y, w, h in pixels; each side is at least a pixel, also of the part in the image.
        category_ids: int64 (M,), as in the file.
        categories: id -> name.
        skipped: number of skipped items of each kind.
        folders: those that were searched for the images.
    """

    part: CocoPart
    files: list[str]
    ids: np.ndarray
    sizes: np.ndarray
    image_of: np.ndarray
    boxes: np.ndarray
    category_ids: np.ndarray
    categories: dict[int, str]
    skipped: dict[str, int]
    folders: list[Path]


def skipped_text(skipped: Mapping[str, int]) -> str:
    """The end of a sentence: what was skipped, if anything."""
    listed = [f"{count} {what}" for what, count in skipped.items() if count]
    return f"; skipped: {', '.join(listed)}" if listed else ""


def find_coco(root: str | Path, split: str, year: int | None = None) -> CocoPart:
    """The annotation file and the folder of images of a part of a data set.

    Args:
        root: the folder of `annotations`, or of one of the other layouts in the module's docstring.
        split: 'train' or 'val'.
        year: 2014 or 2017, of COCO's own files; None for the first that is present.

    Raises:
        DatasetError: if one of them is missing; the message lists the names that were looked for.
    """
    if split not in _ALIASES or year not in (*_YEARS, None):
        raise ValueError(f"split must be 'train' or 'val', year 2014 or 2017, not {split!r} and {year!r}")
    root = dataset_root(root, _SETTING, "COCO's annotations and images")
    years = _YEARS if year is None else (year,)
    for y in years:
        file = root / "annotations" / f"instances_{split}{y}.json"
        if file.is_file():
            folders = [root / f"{split}{y}", root / "images" / f"{split}{y}"]
            images = next((folder for folder in folders if folder.is_dir()), None)
            if images is None:
                raise DatasetError(
                    f"the images of {split}{y} are in neither {folders[0]} nor {folders[1]} (path '{_SETTING}')"
                )
            return CocoPart(file, images)
    found = _find_split(root, split)
    if found is not None:
        return found
    other = "val" if split == "train" else "train"
    if _find_split(root, other) is None:
        for name in _UNSPLIT:
            unsplit = _any_case(root, name)
            if unsplit is not None:
                beside = unsplit.name.lower() == _ROBOFLOW
                folder = unsplit.parent if beside else _image_folder(root, ("default",))
                return CocoPart(unsplit, folder, share=split)
    alias = _ALIASES[split][-1 if split == "train" else 1]
    official = " nor ".join(f"annotations/instances_{split}{y}.json" for y in years)
    others = [y for y in _YEARS if y not in years and (root / "annotations" / f"instances_{split}{y}.json").is_file()]
    if others:
        raise DatasetError(
            f"{root} holds no {official}, but that of {others[0]}: name the year that is meant (--year {others[0]}, in "
            f"a training --data.year {others[0]})"
        )
    raise DatasetError(
        f"{root} holds no {official} (COCO), annotations/instances_{split}.json or instances_default.json (CVAT), "
        f"{'train' if split == 'train' else alias}/{_ROBOFLOW} (Roboflow) or result.json (Label Studio); "
        f"give the file one of these names, or set the path '{_SETTING}' to the folder above it"
    )


def _find_split(root: Path, split: str) -> CocoPart | None:
    """The part of that split in the layouts of CVAT and Roboflow."""
    for alias in _ALIASES[split]:
        for name in (f"annotations/instances_{alias}.json", f"annotations/{alias}.json", f"instances_{alias}.json"):
            file = _any_case(root, name)
            if file is not None:
                return CocoPart(file, _image_folder(root, _ALIASES[split]))
        file = _any_case(root, f"{alias}/{_ROBOFLOW}")
        if file is not None:
            return CocoPart(file, file.parent)
    return None


def _image_folder(root: Path, names: Sequence[str]) -> Path:
    """The folder of a subset's images; the whole folder of the data set if it has none of the usual names."""
    places = [place for name in names for place in (f"images/{name}", name)]
    folders = (_any_case(root, place) for place in (*places, "images"))
    return next((folder for folder in folders if folder is not None and folder.is_dir()), root)


def _any_case(root: Path, name: str) -> Path | None:
    """The path `name` below `root`, whatever its case; None if there is none."""
    if (root / name).exists():
        return root / name
    path: Path = root
    for part in name.split("/"):
        matching = sorted(entry for entry in _listing(path) if entry.lower() == part.lower())
        if not matching:
            return None
        path = path / matching[0]
    return path


def read_coco(part: CocoPart, detection: bool = False) -> CocoObjects:
    """Reads a part of a data set. What it skips is counted; a warning gives the first of a kind that is odd.

    Args:
        part: as :func:`find_coco` finds it.
        detection: whether sizes of images and categories are needed.

    Raises:
        DatasetError: if images are missing, the annotations are damaged, none of them can be used, or the boxes are in
            another form.
    """
    path = part.annotations
    data = read_instances(path)
    with instances_form(path):
        categories = _read_categories(path, data["categories"]) if detection else {}
        names, index, sizes = _read_images(path, data["images"], detection)
        ids = np.array(list(index), np.int64)
        objects = _read_objects(path, data["annotations"], index, categories if detection else None)
    del data
    image_of, boxes, category_ids, skipped = objects

    used = np.ones(len(names), bool)
    if part.share is not None:
        kept = hash_split(names, part.share)
        used = np.array([name in kept for name in names])
        logger.info(
            "%s has no split: %d of its %d images are for %s, by a hash of their names", path, used.sum(), len(names),
            {"train": "training", "val": "validation"}[part.share],
        )  # fmt: skip
    files, folders = _locate(path, part.images, names)
    present = np.array([file is not None for file in files])
    limits = sizes[image_of]
    outside = outside_image(boxes, limits, path)
    if outside.any():
        first = int(outside.argmax())
        logger.warning(
            "%s: %d of %d boxes are dropped, because less than half of each lies inside its image; the first is %s in "
            "%s of %d x %d pixels%s", path, outside.sum(), len(boxes), boxes[first].tolist(), names[image_of[first]],
            *limits[first], many_outside(int(outside.sum()), len(boxes)),
        )  # fmt: skip
    inside = np.where(limits > 0, limits, np.inf)
    sides = np.clip(boxes[:, :2] + boxes[:, 2:], 0, inside) - np.clip(boxes[:, :2], 0, inside)
    tiny = ~outside & ((boxes[:, 2:] < MIN_SIDE - 1e-6) | (sides < MIN_SIDE - 1e-6)).any(1)  # (x + w) - x is not w

    keep = (~outside & ~tiny) & (present & used)[image_of]
    selected = present & used
    return CocoObjects(
        part,
        [file for file, wanted in zip(files, used, strict=True) if file is not None and wanted],
        ids[selected],
        sizes[selected],
        (np.cumsum(selected) - 1)[image_of[keep]],
        boxes[keep],
        category_ids[keep],
        categories,
        {
            "images without a file": int((used & ~present).sum()),
            **skipped,
            "boxes outside their image": int(outside.sum()),
            "boxes under a pixel": int(tiny.sum()),
        },
        folders,
    )


def read_instances(path: Path) -> dict:
    """The content of an annotation file without outlines. Only that it is JSON is checked.

    Raises:
        DatasetError: if it is missing, not readable or not JSON.
    """
    try:
        return json.loads(read_bytes(path), object_hook=_without_outline)
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error


def _without_outline(thing: dict) -> dict:
    """Drops outlines while the file is read: they are most of it, and would take several GB. Where there is no box,
    that of the polygons takes its place."""
    outline = thing.pop("segmentation", None)
    if isinstance(outline, list) and outline and "bbox" not in thing:
        with suppress(TypeError, ValueError):
            points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in outline]).astype(np.float64)
            thing["bbox"] = [*points.min(axis=0).tolist(), *np.ptp(points, axis=0).tolist()]
    return thing


@contextmanager
def instances_form(path: Path) -> Iterator[None]:
    """Turns errors about the form of an annotation file into a DatasetError that names the file."""
    try:
        yield
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} is not a COCO instances file: {type(error).__name__} {error}") from error


def annotation_problem(annotation: Any, images: Collection[int], categories: Collection[int] | None) -> str:
    """Why an annotation cannot be used; empty if it can.

    Args:
        annotation: an item of the file's list.
        images: ids of the images.
        categories: ids of the categories; None accepts any.
    """
    if not isinstance(annotation, dict):
        return f"it is {str(annotation)[:40]!r}, not an object"
    for key, known in (("image_id", images), ("category_id", categories)):
        value = annotation.get(key)
        if known is not None and (not isinstance(value, int) or value not in known):
            return f"there is no {key.removesuffix('_id')} {value!r}"
    try:
        x, y, w, h = map(float, annotation["bbox"])
    except (KeyError, OverflowError, TypeError, ValueError):
        x = y = w = h = math.nan
    if not all(map(math.isfinite, (x, y, w, h))):
        return "its box is not four finite numbers x, y, w, h"
    return ""


def report_unusable(path: Path, count: int, total: int, first: str) -> None:
    """Warns of annotations that cannot be used.

    Raises:
        DatasetError: if none can be used.
    """
    if not count:
        return
    if count == total:
        raise DatasetError(f"{path}: none of the {total} annotations can be used; {first}")
    logger.warning("%s: %d of %d annotations cannot be used and are left out; the first: %s", path, count, total, first)


def _read_categories(path: Path, listed: Sequence[dict]) -> dict[int, str]:
    categories: dict[int, str] = {}
    for category in listed:
        label = category["id"]
        if not isinstance(label, int) or label < 0:
            raise DatasetError(f"{path} has a category with id {label!r}; ids must be whole numbers from 0 on")
        if label in categories:
            raise DatasetError(f"{path} has two categories with id {label}, {categories[label]} and {category['name']}")
        categories[label] = str(category["name"])
    return categories


def _read_images(path: Path, listed: Sequence[dict], with_sizes: bool) -> tuple[list[str], dict[int, int], np.ndarray]:
    """Names of the images, the index in that list of each id, and widths and heights, int32 (N, 2)."""
    names: list[str] = []
    index: dict[int, int] = {}
    sizes: list[tuple[int, int]] = []
    for image in listed:
        number, name = image["id"], image["file_name"]
        if not isinstance(number, int):
            raise DatasetError(f"{path} has an image with id {number!r}; ids must be whole numbers")
        if number in index:
            raise DatasetError(f"{path} has two images with id {number}, {names[index[number]]} and {name}")
        if not isinstance(name, str) or not name:
            raise DatasetError(f"{path}, image {number}: the file name {name!r} names no file")
        index[number] = len(names)
        names.append(name)
        known = isinstance(image.get("width"), int) and isinstance(image.get("height"), int)
        if with_sizes and not known:
            raise DatasetError(f"{path}, image {number}: width and height must be whole numbers; add them")
        sizes.append((image["width"], image["height"]) if known else (0, 0))
    if not names:
        raise DatasetError(f"{path} lists no image")
    return names, index, np.array(sizes, np.int32)


def _read_objects(
    path: Path, listed: Sequence[Any], index: dict[int, int], categories: dict[int, str] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, int]]:
    """Image index, box (x, y, w, h) and category id of each object that is no crowd, and what was skipped."""
    image_of, boxes, category_ids = [], [], []
    skipped = Counter(crowds=0)
    first, unusable = "", 0
    for number, annotation in enumerate(listed, start=1):
        problem = annotation_problem(annotation, index, categories)
        if problem:
            name = annotation.get("id", number) if isinstance(annotation, dict) else number
            first = first or f"annotation {name}: {problem}"
            unusable += 1
        elif annotation.get("iscrowd", 0):  # crowds are not for training, but they are scored
            skipped["crowds"] += 1
        else:
            boxes.append([float(value) for value in annotation["bbox"]])
            image_of.append(index[annotation["image_id"]])
            category_ids.append(annotation["category_id"] if categories is not None else 0)
    report_unusable(path, unusable, len(listed), first)
    skipped["unusable annotations"] = unusable
    box_array = np.array(boxes, np.float64).reshape(-1, 4)
    return np.array(image_of, np.int64), box_array, np.array(category_ids, np.int64), dict(skipped)


def _locate(path: Path, folder: Path, names: Sequence[str]) -> tuple[list[str | None], list[Path]]:
    """The file of each image, relative to the folder, None where there is none; and the folders that were searched.

    It lists folders, because checking each of 118,000 files takes long.

    Raises:
        DatasetError: if there is no file for any image.
    """
    split = [name.rpartition("/") for name in names]
    within = [not name.startswith("/") and ".." not in name.split("/") for name in names]
    parents = {parent for (parent, _, _), ok in zip(split, within, strict=True) if ok}
    listings = {parent: _listing(folder / parent) for parent in parents}
    files = [
        name if ok and last in listings[parent] else None
        for name, (parent, _, last), ok in zip(names, split, within, strict=True)
    ]
    folders = [folder / parent for parent in parents]
    if None in files:
        folders += _search(folder, names, files)
    missing = [name for name, file in zip(names, files, strict=True) if file is None]
    if len(missing) == len(names):
        raise DatasetError(f"{folder} holds none of the {len(names)} images that {path} lists, such as {names[0]}")
    if missing:
        first = missing[0]
        lacking = f"{len(missing)} of the {len(names)} images"
        logger.warning("%s lacks %s that %s lists, the first is %s; they are skipped", folder, lacking, path, first)
    return files, folders


def _search(folder: Path, names: Sequence[str], files: list[str | None]) -> list[Path]:
    """Fills in the missing files by the ends of their names, whatever their case, where one file fits best.

    Returns:
        The folders that were searched.
    """
    candidates: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    searched = []
    for parent, _, entries in os.walk(folder):
        searched.append(Path(parent))
        relative = Path(parent).relative_to(folder).parts
        for entry in entries:
            candidates[_plain(entry)].append((*relative, entry))
    found: dict[int, str] = {}
    for k, name in enumerate(names):
        if files[k] is None:
            parts = _listed_parts(name)
            ranked = sorted(((_alike(parts, c), c) for c in candidates.get(_plain(parts[-1]), ())), reverse=True)
            if ranked and (len(ranked) == 1 or ranked[0][0] > ranked[1][0]):
                found[k] = "/".join(ranked[0][1])
    wanted = Counter([*found.values(), *(file for file in files if file is not None)])
    for k, file in found.items():
        if wanted[file] == 1:  # of two images with one file, at least one has the other's boxes
            files[k] = file
    return searched


def _listed_parts(name: str) -> list[str]:
    """The parts of a listed name: a Windows path, an address, or Label Studio's /data/local-files/?d=folder/name."""
    return [part for part in name.rpartition("?d=")[2].replace("\\", "/").split("/") if part] or [name]


def _plain(part: str) -> str:
    return unicodedata.normalize("NFC", unquote(part)).lower()


def _alike(listed: Sequence[str], candidate: Sequence[str]) -> tuple[int, int]:
    """How many parts at the end of two paths agree, whatever their case, and how many of these agree exactly."""
    agree = exact = 0
    for a, b in zip(reversed(listed), reversed(candidate), strict=False):
        if _plain(a) != _plain(b):
            break
        agree += 1
        exact += a == b
    return agree, exact


def _listing(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries}
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: no folder can have such a name
        return set()
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read: {error.strerror or error}") from error
