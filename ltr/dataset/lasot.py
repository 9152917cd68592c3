"""LaSOT (Fan et al., CVPR 2019), as its archives unpack.

root/
    testing_set.txt                 280 names; training_set.txt likewise, if you have it
    airplane/
        airplane-1/
            groundtruth.txt         x,y,w,h of a frame a line
            full_occlusion.txt      0,0,1,...  one line for all frames
            out_of_view.txt         0,0,0,...  one line for all frames
            img/
                00000001.jpg
                ...
"""

from __future__ import annotations

import os
from pathlib import Path

from ltr.dataset.annotated_videos import AnnotatedVideos
from ltr.dataset.base import (
    DatasetError,
    SequenceInfo,
    count_frames,
    dataset_root,
    read_boxes,
    read_flags,
    read_names,
    video_info,
)

_SETTING = "lasot"


class LaSOT(AnnotatedVideos[str]):
    """LaSOT's training or testing set; the module's docstring shows the layout.

    LaSOT's own lists in the root name the sequences: `training_set.txt` and `testing_set.txt`. If only the testing set
    is listed, the training set is every other sequence on disk (protocol II). A target is visible if it is neither
    fully occluded nor out of view, and its box has an area. As released, some sequences have one image more than
    lines, or no full_occlusion.txt: the image is not used, and no frame counts as occluded. Sequences whose files do
    not fit each other are left out with a warning.

    Args:
        root: the folder of the categories.
        split: 'train' or 'test'.
        split_file: a list of sequence names, one a line, that replaces LaSOT's.

    Raises:
        DatasetError: if a list or a listed sequence is missing, or no sequence can be used.
    """

    def __init__(self, root: str | Path, split: str = "train", split_file: str | Path | None = None):
        root = dataset_root(root, _SETTING, "LaSOT's categories (airplane/airplane-1/groundtruth.txt, ...)")
        names = _split_names(root, split, split_file)
        missing = [name for name in names if not _sequence_folder(root, name).is_dir()]
        if missing:
            raise DatasetError(
                f"{len(missing)} of {len(names)} listed sequences are missing, the first is "
                f"{_sequence_folder(root, missing[0])} (path '{_SETTING}'): unpack them, or list those you have in a "
                "split_file"
            )
        super().__init__(_SETTING, root, names)

    def _folder(self, name: str) -> Path:
        return _sequence_folder(self.root, name) / "img"

    def _annotation(self, name: str) -> Path:
        return _sequence_folder(self.root, name) / "groundtruth.txt"

    def _read(self, name: str) -> SequenceInfo:
        annotation = self._annotation(name)
        num_frames = count_frames(annotation, self._folder(name), _SETTING, _frame_name)
        boxes = read_boxes(annotation, _SETTING, num_frames)
        hidden = [read_flags(file, _SETTING, len(boxes), num_frames) > 0 for file in self._flags(name)]
        return video_info(boxes, hidden=hidden[0] | hidden[1])

    def _flags(self, name: str) -> list[Path]:
        return [self._annotation(name).with_name(file) for file in ("full_occlusion.txt", "out_of_view.txt")]

    def _frame_path(self, index: int, frame: int) -> Path:
        return self._folder(self.sequences[index]) / _frame_name(frame)


def _sequence_folder(root: Path, name: str) -> Path:
    return root / name.rsplit("-", 1)[0] / name


def _frame_name(frame: int) -> str:
    return f"{frame + 1:08d}.jpg"


def _split_names(root: Path, split: str, split_file: str | Path | None) -> list[str]:
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', not {split!r}")
    if split_file is not None:
        return read_names(split_file, _SETTING)
    own_list = root / ("training_set.txt" if split == "train" else "testing_set.txt")
    if own_list.is_file():
        return read_names(own_list, _SETTING)
    if split == "test" or not (root / "testing_set.txt").is_file():
        raise DatasetError(
            f"{root} has no list of LaSOT's {split}ing set: put LaSOT's testing_set.txt there (path '{_SETTING}'), "
            "or give a split_file"
        )
    testing = set(read_names(root / "testing_set.txt", _SETTING))
    names = [name for name in _names_on_disk(root) if name not in testing]
    if not names:
        raise DatasetError(f"{root} holds no sequence outside LaSOT's testing set (path '{_SETTING}')")
    return names


def _names_on_disk(root: Path) -> list[str]:
    """Names of all sequence folders category/category-N, ordered by category and number."""
    found = []
    for category in os.scandir(root):
        if category.is_dir():
            for entry in os.scandir(category):
                start, _, number = entry.name.rpartition("-")
                if start == category.name and number.isdigit() and entry.is_dir():
                    found.append((start, int(number), entry.name))
    return [name for _, _, name in sorted(found)]
