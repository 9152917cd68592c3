"""Any folder in OTB's layout, a sub-folder for each sequence.

::

    David/img/0300.jpg ...          .jpg, .jpeg, .png or .bmp; any number of digits
    David/groundtruth_rect.txt      x, y, w, h on a line, separated by commas, tabs or blanks
    Jogging/groundtruth_rect.1.txt  a sequence with several targets has a numbered file for each: Jogging-1, Jogging-2
    David/attributes.txt            optional: what is hard about it, in words separated by commas or blanks (IV, OCC);
                                    OTB-100's own sequences need none, their eleven attributes are known
"""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ltr.common.errors import DatasetError
from pytracking.evaluation.datasets.base import SequenceList, TrackingSequence, read_all
from pytracking.evaluation.datasets.files import pair_in_order, read_boxes, read_images, subfolders
from pytracking.evaluation.datasets.otb_attributes import otb_attributes
from pytracking.evaluation.datasets.otb_frames import OTB_LENGTHS, pair_by_otb_range

OTB_ORIGIN = 1.0
"""Pixel coordinates of OTB's annotation start at 1."""


def read_folder(root: Path, title: str | None = None) -> SequenceList:
    """Every sequence of a folder in OTB's layout. Names that OTB-100 has keep its special ranges if those apply."""
    title = title or root.resolve().name
    sequences: dict[str, Callable[[], TrackingSequence]] = {}
    for folder in subfolders(root):
        for target, file in find_targets(folder).items():
            name = folder.name if target is None else f"{folder.name}-{target}"
            sequences[name] = partial(read_target, name, folder, file, title, strict=False)
    return read_all(title, root, sequences)


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
        raise DatasetError(f"sequence {name} has no annotation file in {folder}")
    boxes = read_boxes(annotation)
    images = read_images(folder / "img", name)
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
            f"sequence {name}: {annotation} has {len(boxes)} lines, but {folder / 'img'} has {len(images)} images"
            f"{benchmark}; copy the sequence again"
        )
    attributes = _read_attributes(folder / "attributes.txt") or otb_attributes(name, len(boxes))
    return TrackingSequence(name, frames, boxes, dataset, OTB_ORIGIN, attributes)


def _read_attributes(file: Path) -> tuple[str, ...]:
    """The words of a sequence's attributes.txt, each once; none if there is no such file."""
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise DatasetError(f"the attributes {file} cannot be read: {error.strerror}") from error
    return tuple(dict.fromkeys(re.findall(r"[^,;\s]+", text)))


def find_targets(folder: Path) -> dict[str | None, Path]:
    """Annotation files of a folder by target: None for the only one, '1', '2' ... for several. Empty ones do not
    count, such as Human4's first, which the benchmark does not use."""
    targets: dict[str | None, Path] = {}
    for path in sorted(folder.glob("groundtruth_rect*.txt")):
        match = re.fullmatch(r"groundtruth_rect(?:\.(\d+))?\.txt", path.name)
        if match and path.read_text(errors="replace").strip():
            targets[match[1]] = path
    return targets
