"""Any folder of sequences, a sub-folder for each; or the folder of one sequence. Each sequence's layout is recognised.

::

    OTB       David/img/0300.jpg, David/groundtruth_rect.txt                            pixels count from 1
    LaSOT     bus-2/img/00000001.jpg, bus-2/groundtruth.txt, bus-2/full_occlusion.txt   from 1
    GOT-10k   ball/00000001.jpg, ball/groundtruth.txt, ball/cover.label                 from 0
    VOT       ants1/color/00000001.jpg, ants1/groundtruth.txt (boxes, polygons, masks)  from 0
    plain     ball/imgs/1.png, ball/groundtruth.txt (likewise)                          from 0

An annotation has x, y, w, h on a line, separated by commas, tabs or blanks, or the first box alone. Images are .jpg,
.png, .webp, ... with any number of digits, in `img/`, `color/`, `imgs/`, `images/` or `frames/`, or beside the
annotation. A sequence with several targets has a numbered file for each: groundtruth_rect.1.txt makes Jogging-1. An
attributes.txt says what is hard about a sequence, in words separated by commas or blanks (IV, OCC); OTB-100's own need
none, their eleven attributes are known. Sequences may lie one folder deeper, as LaSOT's do in those of their
categories. Names are read in any case.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ltr.common.errors import DatasetError
from ltr.common.files import read_text
from ltr.common.frame_order import find_images
from pytracking.evaluation.datasets.base import SequenceList, TrackingSequence, read_all
from pytracking.evaluation.datasets.files import (
    extend_first_box,
    may_exist,
    pair_in_order,
    read_boxes,
    read_images,
    subfolders,
)
from pytracking.evaluation.datasets.got10k import GOT10K_ORIGIN, read_got10k_visible, read_resolution
from pytracking.evaluation.datasets.lasot import EXTENSION_ORIGIN, LASOT_EXTENSION, LASOT_ORIGIN, read_lasot_visible
from pytracking.evaluation.datasets.otb_attributes import otb_attributes
from pytracking.evaluation.datasets.otb_frames import OTB_LENGTHS, pair_by_otb_range
from pytracking.evaluation.datasets.vot import VOT_ORIGIN, read_annotation

OTB_ORIGIN = 1.0
"""Pixel coordinates of OTB's annotation start at 1."""
IMAGE_FOLDERS = ("img", "color", "imgs", "images", "frames")
"""Where a sequence's images may lie in its folder."""
EXPECTED = (
    "a sequence is a folder with images in img/ and x, y, w, h on each line of groundtruth_rect.txt (OTB), with img/, "
    "groundtruth.txt and full_occlusion.txt (LaSOT), with color/ and groundtruth.txt (VOT), or with groundtruth.txt "
    "beside its images (GOT-10k)"
)


@dataclass(frozen=True)
class SequenceLayout:
    """How a sequence lies on disk, and what that says of its annotation.

    Attributes:
        name: of the benchmark that has this layout.
        origin: coordinate of the first pixel.
        scoring: see :class:`TrackingSequence`.
    """

    name: str
    origin: float
    scoring: str = "otb"


OTB_LAYOUT = SequenceLayout("OTB", OTB_ORIGIN)
LASOT_LAYOUT = SequenceLayout("LaSOT", LASOT_ORIGIN, "lasot")
EXTENSION_LAYOUT = SequenceLayout("LaSOT extension", EXTENSION_ORIGIN, "lasot_extension_subset")
GOT10K_LAYOUT = SequenceLayout("GOT-10k", GOT10K_ORIGIN, "got10k")
VOT_LAYOUT = SequenceLayout("VOT", VOT_ORIGIN)
PLAIN_LAYOUT = SequenceLayout("groundtruth.txt", 0.0)


def layout_of(folder: Path, annotation: Path) -> SequenceLayout:
    """The layout of a sequence with this annotation."""
    if annotation.name.lower().startswith("groundtruth_rect"):
        return OTB_LAYOUT
    inside = {path.name.lower() for path in folder.iterdir()}
    if inside & {"full_occlusion.txt", "out_of_view.txt"}:
        return EXTENSION_LAYOUT if folder.name in LASOT_EXTENSION else LASOT_LAYOUT
    if "color" in inside:
        return VOT_LAYOUT
    if inside & {"absence.label", "cover.label", "meta_info.ini"}:
        return GOT10K_LAYOUT
    return PLAIN_LAYOUT


def read_folder(root: Path, title: str | None = None) -> SequenceList:
    """Every sequence of a folder, each in its own layout. Names that OTB-100 has keep its special ranges if those
    apply."""
    title = title or root.resolve().name
    sequences: dict[str, Callable[[], TrackingSequence]] = {}
    layouts: dict[SequenceLayout, None] = {}
    folders = [root.resolve()] if find_targets(root) else subfolders(root)
    for folder in folders:
        for each, files in _targets_in(folder).items():
            for target, file in files.items():
                name = each.name if target is None else f"{each.name}-{target}"
                if name in sequences:
                    name = f"{folder.name}-{name}"
                sequences[name] = partial(read_target, name, each, file, title, strict=False)
                if file is not None:
                    layouts[layout_of(each, file)] = None
    dataset = read_all(title, root, sequences, looked_for=EXPECTED)
    dataset.layout = " and ".join(f"{each.name}'s layout, pixels from {each.origin:g}" for each in layouts)
    return dataset


def _targets_in(folder: Path) -> dict[Path, Mapping[str | None, Path | None]]:
    """The annotation files, by target, of a sequence's folder, or of the folders in it; None where there is none.

    What cannot be read counts as a sequence: reading it says why.
    """
    unknown: Mapping[str | None, Path | None] = {None: None}
    try:
        targets = find_targets(folder)
        inside = [] if targets else subfolders(folder)
        inner: dict[Path, Mapping[str | None, Path | None]] = {}
        for each in inside:
            try:
                inner[each] = find_targets(each)
            except OSError:
                if each.name.lower() not in IMAGE_FOLDERS:
                    inner[each] = unknown
        if any(inner.values()):
            return inner
        return {folder: targets or (unknown if _has_images(folder) else {})}
    except OSError:
        return {folder: unknown}


def image_folder(folder: Path) -> Path:
    """Where the images of a sequence lie; `img` if there are none."""
    inside = {path.name.lower(): path for path in subfolders(folder)}
    found = [inside[name] for name in IMAGE_FOLDERS if name in inside]
    return next((path for path in [*found, folder] if find_images(path)), found[0] if found else folder / "img")


def _has_images(folder: Path) -> bool:
    images = image_folder(folder)
    return images.is_dir() and bool(find_images(images))


def read_target(name: str, folder: Path, annotation: Path | None, dataset: str, *, strict: bool) -> TrackingSequence:
    """One target, in any of the layouts at the top of this file.

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
        list(folder.iterdir())  # raises OSError if it cannot be read
        raise DatasetError(f"sequence {name} has no annotation file in {folder}: {EXPECTED}")
    layout = layout_of(folder, annotation)
    boxes = read_annotation(annotation) if layout in (VOT_LAYOUT, PLAIN_LAYOUT) else read_boxes(annotation)
    where = image_folder(folder)
    if not may_exist(where):
        places = ", ".join(f"{each}/" for each in IMAGE_FOLDERS)
        raise DatasetError(f"sequence {name} has no images in {folder}, nor in a folder of it named {places}")
    images = read_images(where, name)
    if len(boxes) == 1 < len(images) and not strict:  # the first box alone: no target is annotated after it
        boxes = extend_first_box(boxes, len(images))
    frames = None
    if layout in (LASOT_LAYOUT, EXTENSION_LAYOUT) and len(images) == len(boxes) + 1:  # as some of LaSOT's are released
        images = dict(list(images.items())[:-1])
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
    read_visible = {
        LASOT_LAYOUT: read_lasot_visible,
        EXTENSION_LAYOUT: read_lasot_visible,
        GOT10K_LAYOUT: read_got10k_visible,
    }.get(layout)
    return TrackingSequence(
        name,
        frames,
        boxes,
        dataset,
        layout.origin,
        attributes,
        read_visible(folder, len(boxes)) if read_visible else None,
        layout.scoring,
        read_resolution(folder) if layout is GOT10K_LAYOUT else None,
    )


def _read_attributes(file: Path) -> tuple[str, ...]:
    """The words of a sequence's attributes.txt, each once; none if there is no such file."""
    try:
        text = read_text(file, "replace")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise DatasetError(f"the attributes {file} cannot be read: {error.strerror}") from error
    return tuple(dict.fromkeys(re.findall(r"[^,;\s]+", text)))


def find_targets(folder: Path) -> Mapping[str | None, Path]:
    """Annotation files of a folder by target: None for the only one, '1', '2' ... for several. Beside others, empty
    ones do not count, such as Human4's first, which the benchmark does not use.

    What has such a name and is no file that can be read (a folder, a link to nothing) counts: reading it says why.
    """
    paths = sorted(folder.iterdir())
    for pattern in (r"groundtruth_rect(?:\.(\d+))?\.txt", r"groundtruth\.txt"):
        named = {path: re.fullmatch(pattern, path.name, re.IGNORECASE) for path in paths}
        targets = {match[1] if match.lastindex else None: path for path, match in named.items() if match}
        filled = {target: path for target, path in targets.items() if not _is_empty(path)}
        if targets:
            return filled or targets
    return {}


def _is_empty(file: Path) -> bool:
    try:
        return not read_text(file, "replace").strip()
    except OSError:
        return False
