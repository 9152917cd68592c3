"""TrackingNet (Müller et al., ECCV 2018), in the layout of its download scripts.

root/
    TRAIN_0/
        anno/
            -3TIfnTSM6c_2.txt       x,y,w,h of a frame a line
            ...
        frames/
            -3TIfnTSM6c_2/
                0.jpg
                1.jpg
                ...
    TRAIN_1/
    ...
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ltr.dataset.base import (
    DatasetError,
    SequenceInfo,
    VideoDataset,
    count_frames,
    dataset_root,
    read_boxes,
    require_folders,
    video_info,
)

_SETTING = "trackingnet"


class TrackingNet(VideoDataset):
    """Training sets of TrackingNet; the module's docstring shows the layout.

    Occlusion is not annotated: a target is visible if its box has an area. Sequences whose files do not fit each other
    are left out with a warning.

    Args:
        root: the folder that contains TRAIN_0, TRAIN_1, ...
        sets: numbers of the training sets, of 0 to 11 (PyTracking trains on 0 to 3).

    Raises:
        DatasetError: if a set, or the frames of an annotated sequence, are missing, or no sequence can be used.
    """

    def __init__(self, root: str | Path, sets: Iterable[int] = range(4)):
        super().__init__(_SETTING)
        self.root = dataset_root(root, _SETTING, "TrackingNet's TRAIN_0, TRAIN_1, ...")
        self.sequences: list[tuple[str, str]] = []
        """Set and name of each sequence."""
        for number in dict.fromkeys(sets):
            part = f"TRAIN_{number}"
            anno = self.root / part / "anno"
            names = sorted(file.stem for file in anno.glob("*.txt"))
            if not names:
                raise DatasetError(
                    f"{anno} holds no annotation (path '{_SETTING}'); download {part}, or do not list it"
                )
            require_folders(
                self.root / part / "frames", names, _SETTING, "unpack zips/NAME.zip into frames/NAME for each of them"
            )
            self.sequences += [(part, name) for name in names]
        if not self.sequences:
            raise ValueError("sets names no training set")
        self.sequences = self._usable(self.sequences)

    def __len__(self) -> int:
        return len(self.sequences)

    def _frames(self, index: int) -> Path:
        part, name = self.sequences[index]
        return self.root / part / "frames" / name

    def _read_sequence(self, index: int) -> SequenceInfo:
        part, name = self.sequences[index]
        annotation = self.root / part / "anno" / f"{name}.txt"
        num_frames = count_frames(annotation, self._frames(index), _SETTING, _frame_name)
        return video_info(read_boxes(annotation, _SETTING, num_frames))

    def _frame_path(self, index: int, frame: int) -> Path:
        return self._frames(index) / _frame_name(frame)


def _frame_name(frame: int) -> str:
    return f"{frame}.jpg"
