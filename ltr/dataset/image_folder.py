"""Images and video frames listed in one index file: the simplest way to train on your own data.

    root/
        index.jsonl
        cards/00000.jpg
        bmx/run1/00001.jpg
        ...

`index.jsonl` holds one JSON object a line for each image::

    {"file": "cards/00000.jpg", "set": "cards", "boxes": [[33.0, 84.0, 77.0, 45.0], [193.5, 117.0, 126.5, 96.0]]}
    {"file": "bmx/run1/00001.jpg", "set": "bmx", "sequence": "run1", "frame": 1, "boxes": [[298.0, 67.4, 27.5, 59.3]]}

`file` is relative to the root and may leave it by `..`; `boxes` are x, y, w, h in pixels. `width` and `height`, the
size of the image in which the boxes were drawn, may be given; other keys are ignored. Rows without `sequence` are still
images, in which each box is a separate target. Rows that share `set` and `sequence` are frames of one video, whose
target is the first box of each row, in the order of `frame`.

A still photograph is rotated by its EXIF orientation if `width` and `height` are those of the rotated picture; if it
has an orientation and they do not say whether it applies, it is left out. Frames of videos are never rotated. A box is
left out if less than half of it lies in its image.
"""

from __future__ import annotations

import logging
import math
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ltr.common.columns import name_columns
from ltr.common.images import ImageReadError
from ltr.common.orientation import image_forms
from ltr.common.plain import from_json
from ltr.dataset.base import DatasetError, SequenceInfo, VideoDataset, dataset_root, hash_split, read_lines
from ltr.dataset.box_forms import many_outside, outside_image
from ltr.dataset.remembered import Reading, remembered, spread

logger = logging.getLogger(__name__)

_KINDS = ("stills", "video", "both")


class ImageFolder(VideoDataset):
    """Targets of an indexed folder of images; the module's docstring shows the layout.

    Args:
        root: folder of the index.
        index: name of the index file.
        set_weights: relative sampling frequency of a set's targets, by its name in the index; 1 for the others, 0 to
            exclude a set. Useful for sets whose boxes are loose or numerous.
        split: 'val' for a fixed tenth of the images and of the videos, 'train' for the rest, None for all. Only the
            names decide, and all boxes of an image are in the same split.
        kinds: 'stills', 'video' or 'both'.
        min_side: in pixels; stills with a shorter box side are skipped, and in videos such a target is not visible.

    Raises:
        DatasetError: if the index is missing or malformed, names an image that does not exist, or no target is left.
    """

    def __init__(
        self,
        root: str | Path,
        index: str = "index.jsonl",
        set_weights: Mapping[str, float] | None = None,
        split: str | None = None,
        kinds: str = "both",
        min_side: float = 4.0,
    ):
        if kinds not in _KINDS:
            raise ValueError(f"kinds must be one of {', '.join(_KINDS)}, not {kinds!r}")
        if split not in ("train", "val", None):
            raise ValueError(f"split must be 'train', 'val' or None, not {split!r}")
        self.root = dataset_root(root, "image_folder", f"{index} and the images that it lists")
        self.min_side = min_side
        file = self.root / index
        if not file.is_file():
            read_lines(file, "image_folder")  # says what it is
        options = [split, kinds, min_side]
        self._columns = remembered(
            "image_folder", options, self.root, lambda: _read(file, split, kinds, min_side), source=file
        )
        if not len(self):
            raise DatasetError(f"{file} holds no target of kinds={kinds!r}, split={split!r}")
        weights = _weights(self._columns["set_of"], self._columns.about["sets"], set_weights, file)
        super().__init__("image_folder", weights)

    @property
    def sets(self) -> list[str]:
        """Name of the set of each sequence."""
        names = self._columns.about["sets"]
        return [names[k] for k in self._columns["set_of"]]

    def __len__(self) -> int:
        return len(self._columns["is_video"])

    def _read_sequence(self, index: int) -> SequenceInfo:
        start, end = self._columns["starts"][index : index + 2]  # of its frames
        boxes = self._columns["boxes"][start:end]
        return SequenceInfo(boxes, boxes[:, 2:].min(axis=1) >= self.min_side, bool(self._columns["is_video"][index]))

    def _row(self, index: int, frame: int) -> int:
        """The number of a frame's image."""
        return self._columns["row_of_frame"][self._columns["starts"][index] + frame]

    def _orientation(self, index: int, frame: int) -> int:
        return int(self._columns["orientations"][self._row(index, frame)])

    def _frame_path(self, index: int, frame: int) -> Path:
        return self.root / self._columns.names("files")[self._row(index, frame)]


def _read(index: Path, split: str | None, kinds: str, min_side: float) -> Reading:
    rows = _read_index(index)
    set_names = sorted({row["set"] for row in rows})
    stills = [row for row in rows if "sequence" not in row and kinds != "video"]
    videos: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        if "sequence" in row and kinds != "stills":
            videos[f"{row['set']}/{row['sequence']}"].append(row)
    kept_stills = hash_split((row["file"] for row in stills), split)
    kept_videos = hash_split(videos, split)

    stills = [row for row in stills if row["file"] in kept_stills]
    videos = {name: members for name, members in videos.items() if name in kept_videos}
    used = [*stills, *(row for members in videos.values() for row in members)]
    turned = _check_rows(used, index)

    number = {id(row): k for k, row in enumerate(used)}
    code = {name: k for k, name in enumerate(set_names)}
    row_of_frame, boxes, starts, is_video, set_of = [], [], [0], [], []
    for row in stills:
        for box in row["boxes"]:
            if min(box[2:]) >= min_side:
                row_of_frame.append(number[id(row)])
                boxes.append(box)
                starts.append(len(boxes))
                is_video.append(False)
                set_of.append(code[row["set"]])
    for members in videos.values():
        for row in sorted(members, key=lambda row: row["frame"]):
            row_of_frame.append(number[id(row)])
            boxes.append(row["boxes"][0] if row["boxes"] else [0.0] * 4)
        starts.append(len(boxes))
        is_video.append(True)
        set_of.append(code[members[0]["set"]])
    files = [row["file"] for row in used]
    orientations = np.ones(len(files), np.uint8)
    orientations[list(turned)] = list(turned.values())
    arrays = {
        **name_columns("files", files),
        "orientations": orientations,
        "row_of_frame": np.array(row_of_frame, np.int64),
        "boxes": np.array(boxes, np.float32).reshape(-1, 4),
        "starts": np.array(starts, np.int64),  # sequence i: frames starts[i] to starts[i + 1] - 1
        "is_video": np.array(is_video, bool),
        "set_of": np.array(set_of, np.int32),
    }
    folders = {os.path.dirname(row["file"]) for row in rows}
    watched = [*(index.parent / folder for folder in folders), *spread([index.parent / file for file in files])]
    return Reading(arrays, watched, {"sets": set_names})


def _read_index(path: Path) -> list[dict]:
    rows = []
    frames_seen = set()
    for number, line in enumerate(read_lines(path, "image_folder"), start=1):
        if not line.strip():
            continue
        try:
            row = from_json(line)
        except ValueError as error:
            raise DatasetError(f"{path}, line {number}: not a JSON object ({error})") from None
        problem = _problem(row)
        if not problem and "sequence" in row:
            key = (row["set"], row["sequence"], row["frame"])
            problem = f"frame {row['frame']} of {row['set']}/{row['sequence']} is listed twice" * (key in frames_seen)
            frames_seen.add(key)
        if not problem and not (path.parent / row["file"]).is_file():
            problem = f"the image {path.parent / row['file']} does not exist"
        if problem:
            raise DatasetError(f"{path}, line {number}: {problem}")
        rows.append(row)
    return rows


def _check_rows(rows: list[dict], index: Path) -> dict[int, int]:
    """Empties the rows of images that cannot be used, and drops boxes outside their images, with one warning for each.

    Returns:
        The EXIF orientation of each still image that needs one, by the number of its row.

    Raises:
        DatasetError: if the boxes are in another form than x, y, w, h in pixels.
    """
    stated = [(row.get("width"), row.get("height")) for row in rows]
    sizes = [(w, h) if isinstance(w, int) and isinstance(h, int) else (0, 0) for w, h in stated]
    items = [(index.parent / row["file"], size, "sequence" in row) for row, size in zip(rows, sizes, strict=True)]
    forms = image_forms(items, index)
    refused = [form for form in forms if isinstance(form, ImageReadError)]
    if refused:
        logger.warning("%s: %d of %d images are left out; the first: %s", index, len(refused), len(rows), refused[0])
    orientations = {}
    boxes, limits = [], []
    for k, (row, form) in enumerate(zip(rows, forms, strict=True)):
        if isinstance(form, ImageReadError):
            row["boxes"] = []
            continue
        if form.orientation != 1:
            orientations[k] = form.orientation
        boxes += row["boxes"]
        limits += [(form.width, form.height)] * len(row["boxes"])
    outside = outside_image(np.array(boxes), np.array(limits), index)
    if not outside.any():
        return orientations
    first = int(outside.argmax())
    file = ""
    left = iter(outside)
    for row in rows:
        dropped = [next(left) for _ in row["boxes"]]
        if any(dropped):
            file = file or row["file"]
            kept = [[0.0] * 4 if drop else box for box, drop in zip(row["boxes"], dropped, strict=True)]
            row["boxes"] = kept if "sequence" in row else [box for box in kept if any(box)]  # a video's is the first
    logger.warning(
        "%s: %d of %d boxes are dropped, because less than half of each lies inside its image; the first is %s in %s "
        "of %d x %d pixels%s", index, outside.sum(), len(boxes), boxes[first], file, *limits[first],
        many_outside(int(outside.sum()), len(boxes)),
    )  # fmt: skip
    return orientations


def _problem(row: object) -> str:
    """The problem of a row of the index; empty if there is none."""
    if not isinstance(row, dict):
        return "not a JSON object"
    for key in ("file", "set"):
        if not isinstance(row.get(key), str) or not row[key]:
            return f"'{key}' must be a non-empty text"
    if not isinstance(row.get("boxes"), list):
        return "'boxes' must be a list of boxes [x, y, w, h]"
    for box in row["boxes"]:
        # bool is an int in Python; its JSON reader accepts NaN and Infinity
        if (
            not isinstance(box, list)
            or len(box) != 4
            or not all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in box)
        ):
            return f"a box must be four finite numbers [x, y, w, h], not {box!r}"
    if "sequence" in row and (not isinstance(row["sequence"], str) or not isinstance(row.get("frame"), int)):
        return "a row with 'sequence' needs a text there and a whole number 'frame'"
    return ""


def _weights(
    set_of: np.ndarray, names: list[str], set_weights: Mapping[str, float] | None, index: Path
) -> np.ndarray | None:
    if not set_weights:
        return None
    for name, weight in set_weights.items():
        if name not in names:
            raise DatasetError(f"set_weights names {name!r}, {index} has only {', '.join(names)}")
        if not (math.isfinite(weight) and weight >= 0):
            raise DatasetError(f"set_weights: the weight of {name!r} must be a number >= 0, not {weight}")
    weights = np.array([set_weights.get(name, 1.0) for name in names], np.float64)[set_of]
    if not weights.any():
        raise DatasetError(f"set_weights leaves no target of {index}: every weight is 0")
    return weights
