"""GOT-10k (Huang et al., TPAMI 2021), as its archives unpack.

root/
    train/
        list.txt                    names of the sequences, one a line
        GOT-10k_Train_000001/
            groundtruth.txt         x,y,w,h of a frame a line
            absence.label           0 or 1 a line: 1 if the target is absent
            cover.label             0 to 8 a line: visible part of the target, from 0 (nothing) to 8 (all)
            00000001.jpg
            ...
    got10k_vot_train_split.txt      optional: sequences for training (see GOT10k)
    got10k_vot_val_split.txt        optional: sequences for validation
"""

from __future__ import annotations

import logging
from pathlib import Path

from ltr.dataset.annotated_videos import AnnotatedVideos
from ltr.dataset.base import (
    DatasetError,
    SequenceInfo,
    count_frames,
    dataset_root,
    hash_split,
    read_boxes,
    read_flags,
    read_names,
    require_folders,
    video_info,
)

_SETTING = "got10k"
_log = logging.getLogger(__name__)


class GOT10k(AnnotatedVideos[str]):
    """Sequences of GOT-10k's `train` folder; the module's docstring shows the layout.

    The paper trains and validates on the parts 'vottrain' and 'votval' of that folder, which exclude sequences that
    overlap with VOT. Their lists come with PyTracking (`ltr/data_specs/got10k_vot_train_split.txt` and
    `..._val_...`); they are used if they are in `root`. Otherwise a hash of the names decides: a fixed tenth is for
    validation. `split_source` says which source is used.

    A target is visible if it is not absent, not fully covered, and its box has an area. Sequences whose files do not
    fit each other are left out with a warning.

    Args:
        root: the folder that contains `train`, or that folder itself (any folder with a `list.txt` in this layout,
            such as the official `val`).
        split: 'train', 'val', or None for all sequences.
        split_file: a list that replaces the split, one sequence a line: its name, or its number in `list.txt` from 0.

    Raises:
        DatasetError: if `list.txt` or one of its sequences is missing, a split's list does not fit it, or
            no sequence can be used.
    """

    def __init__(self, root: str | Path, split: str | None = "train", split_file: str | Path | None = None):
        if split not in ("train", "val", None):
            raise ValueError(f"split must be 'train', 'val' or None, not {split!r}")
        root = dataset_root(root, _SETTING, "GOT-10k's train/list.txt")
        folder = root if (root / "list.txt").is_file() else root / "train"
        if not (folder / "list.txt").is_file():
            raise DatasetError(f"{folder / 'list.txt'} is missing (path '{_SETTING}'); unpack GOT-10k's train archive")
        names = read_names(folder / "list.txt", _SETTING)

        own_list = root / f"got10k_vot_{split}_split.txt"
        if split_file is None and split is not None and own_list.is_file():
            split_file = own_list
        self.split_source = "all sequences"
        """Where the choice of sequences comes from: a list file, 'hash of names', or 'all sequences'."""
        if split_file is not None:
            self.split_source = str(split_file)
            names = _select(names, Path(split_file))
        elif split is not None:
            self.split_source = "hash of names"
            _log.warning("%s is missing: a hash of the names splits GOT-10k, not the paper's lists", own_list)
            kept = hash_split(names, split)
            names = [name for name in names if name in kept]
        require_folders(folder, names, _SETTING, "unpack them, or list those you have in a split_file")
        super().__init__(_SETTING, folder, names)

    def _folder(self, name: str) -> Path:
        return self.root / name

    def _annotation(self, name: str) -> Path:
        return self.root / name / "groundtruth.txt"

    def _read(self, name: str) -> SequenceInfo:
        annotation = self._annotation(name)
        num_frames = count_frames(annotation, self._folder(name), _SETTING, _frame_name)
        boxes = read_boxes(annotation, _SETTING, num_frames)
        absent, cover = (read_flags(file, _SETTING, len(boxes), num_frames) for file in self._flags(name))
        return video_info(boxes, hidden=(absent > 0) | (cover == 0))

    def _flags(self, name: str) -> list[Path]:
        return [self.root / name / file for file in ("absence.label", "cover.label")]

    def _frame_path(self, index: int, frame: int) -> Path:
        return self._folder(self.sequences[index]) / _frame_name(frame)


def _frame_name(frame: int) -> str:
    return f"{frame + 1:08d}.jpg"


def _select(names: list[str], split_file: Path) -> list[str]:
    """The sequences in a list file, in its order."""
    known = set(names)
    selected = []
    for entry in read_names(split_file, _SETTING):
        if entry.isdigit() and int(entry) < len(names):
            selected.append(names[int(entry)])
        elif entry in known:
            selected.append(entry)
        else:
            raise DatasetError(
                f"{split_file} lists {entry!r}, which is neither a name in GOT-10k's list.txt nor a number below its "
                f"{len(names)} lines"
            )
    return selected
