"""Any folder of sequences in OTB's layout or one like it, a sub-folder for each; or the folder of one sequence.

::

    David/img/0300.jpg ...          .jpg, .png, .webp, ...; any number of digits
    David/groundtruth_rect.txt      x, y, w, h on a line, separated by commas, tabs or blanks; or the first box alone
    Jogging/groundtruth_rect.1.txt  a sequence with several targets has a numbered file for each: Jogging-1, Jogging-2
    David/attributes.txt            optional: what is hard about it, in words separated by commas or blanks (IV, OCC);
                                    OTB-100's own sequences need none, their eleven attributes are known

The images may also lie in `color/` (VOT), `imgs/`, `images/` or `frames/`, or beside the annotation, and the annotation
be `groundtruth.txt` (VOT, LaSOT, GOT-10k), whose pixels count from 0 here. Sequences may lie one folder deeper, as
LaSOT's do in those of their categories. Names are read in any case.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from ltr.common.errors import DatasetError
from ltr.common.frame_order import find_images
from pytracking.evaluation.datasets.base import SequenceList, TrackingSequence, read_all
from pytracking.evaluation.datasets.files import pair_in_order, read_boxes, read_images, subfolders
from pytracking.evaluation.datasets.otb_attributes import otb_attributes
from pytracking.evaluation.datasets.otb_frames import OTB_LENGTHS, pair_by_otb_range

OTB_ORIGIN = 1.0
"""Pixel coordinates of OTB's annotation start at 1."""
IMAGE_FOLDERS = ("img", "color", "imgs", "images", "frames")
"""Where a sequence's images may lie in its folder."""
EXPECTED = "a sequence is a folder with images in img/ and x, y, w, h on each line of groundtruth_rect.txt"


def read_folder(root: Path, title: str | None = None) -> SequenceList:
    """Every sequence of a folder in OTB's layout. Names that OTB-100 has keep its special ranges if those apply."""
    title = title or root.resolve().name
    sequences: dict[str, Callable[[], TrackingSequence]] = {}
    folders = [root.resolve()] if find_targets(root) else subfolders(root)
    for folder in folders:
        targets = find_targets(folder)
        inner: dict[Path, Mapping[str | None, Path | None]] = (
            {} if targets else {each: find_targets(each) for each in subfolders(folder)}
        )
        if not any(inner.values()):  # without an annotation, it is a sequence if it has images
            inner = {folder: targets or ({None: None} if _has_images(folder) else {})}
        for each, files in inner.items():
            for target, file in files.items():
                name = each.name if target is None else f"{each.name}-{target}"
                if name in sequences:
                    name = f"{folder.name}-{name}"
                sequences[name] = partial(read_target, name, each, file, title, strict=False)
    return read_all(title, root, sequences)


def image_folder(folder: Path) -> Path:
    """Where the images of a sequence lie; `img` if there are none."""
    inside = {path.name.lower(): path for path in subfolders(folder)}
    found = [inside[name] for name in IMAGE_FOLDERS if name in inside]
    return next((path for path in [*found, folder] if find_images(path)), found[0] if found else folder / "img")


def _has_images(folder: Path) -> bool:
    images = image_folder(folder)
    return images.is_dir() and bool(find_images(images))


def read_target(name: str, folder: Path, annotation: Path | None, dataset: str, *, strict: bool) -> TrackingSequence:
    """One target in OTB's layout.

    Args:
        name: of the target.
        folder: of its sequence.
        annotation: file with its boxes; None if there is none for this target.
        dataset: name of the benchmark.
        strict: read exactly the frames of OTB-100's sequence of this name. Otherwise a line for each image is tried
            first, and OTB's range only if that does not fit.

    Raises:
        DatasetError: if a file is missing or malformed, or lines and images do not match.
    """
    if annotation is None:
        raise DatasetError(f"sequence {name} has no annotation file in {folder}: {EXPECTED}")
    boxes = read_boxes(annotation)
    where = image_folder(folder)
    images = read_images(where, name)
    if len(boxes) == 1 < len(images) and not strict:  # the first box alone: no target is annotated after it
        boxes = np.concatenate([boxes, np.full((len(images) - 1, 4), np.nan)])
    frames = None
    if not strict:
        frames = pair_in_order(images, boxes)
    if frames is None and name in OTB_LENGTHS:
        paired = pair_by_otb_range(name, images, boxes)
        if paired is not None:
            frames, boxes = paired
    if frames is None:
        benchmark = f", and the benchmark runs it on {OTB_LENGTHS[name]} frames" if name in OTB_LENGTHS else ""
        raise DatasetError(
            f"sequence {name}: {annotation} has {len(boxes)} lines, but {where} has {len(images)} images"
            f"{benchmark}; copy the sequence again"
        )
    attributes = _read_attributes(folder / "attributes.txt") or otb_attributes(name, len(boxes))
    origin = OTB_ORIGIN if annotation.name.lower().startswith("groundtruth_rect") else 0.0
    return TrackingSequence(name, frames, boxes, dataset, origin, attributes)


def _read_attributes(file: Path) -> tuple[str, ...]:
    """The words of a sequence's attributes.txt, each once; none if there is no such file."""
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise DatasetError(f"the attributes {file} cannot be read: {error.strerror}") from error
    return tuple(dict.fromkeys(re.findall(r"[^,;\s]+", text)))


def find_targets(folder: Path) -> Mapping[str | None, Path]:
    """Annotation files of a folder by target: None for the only one, '1', '2' ... for several. Empty ones do not
    count, such as Human4's first, which the benchmark does not use."""
    targets: dict[str | None, Path] = {}
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for pattern in (r"groundtruth_rect(?:\.(\d+))?\.txt", r"groundtruth\.txt"):
        for path in files:
            match = re.fullmatch(pattern, path.name, re.IGNORECASE)
            if match and path.read_text(errors="replace").strip():
                targets[match[1] if match.lastindex else None] = path
        if targets:
            break
    return targets
