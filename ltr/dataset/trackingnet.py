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

from ltr.dataset.annotated_videos import AnnotatedVideos
from ltr.dataset.base import (
    DatasetError,
    SequenceInfo,
    count_frames,
    dataset_root,
    read_boxes,
    require_folders,
    video_info,
)

_SETTING = "trackingnet"


class TrackingNet(AnnotatedVideos[tuple[str, str]]):
    """Training sets of TrackingNet; the module's docstring shows the layout.

    Occlusion is not annotated: a target is visible if its box has an area. Sequences whose files do not fit each other
    are left out with a warning.

    Args:
        root: the folder that contains TRAIN_0, TRAIN_1, ...
        sets: numbers of the training sets, of 0 to 11 (PyTracking trains on 0 to 3).

    Attributes:
        sequences: set and name of each sequence.

    Raises:
        DatasetError: if a set, or the frames of an annotated sequence, are missing, or no sequence can be used.
    """

    def __init__(self, root: str | Path, sets: Iterable[int] = range(4)):
        root = dataset_root(root, _SETTING, "TrackingNet's TRAIN_0, TRAIN_1, ...")
        sequences: list[tuple[str, str]] = []  # set and name
        for number in dict.fromkeys(sets):
            part = f"TRAIN_{number}"
            anno = root / part / "anno"
            names = sorted(file.stem for file in anno.glob("*.txt"))
            if not names:
                raise DatasetError(
                    f"{anno} holds no annotation (path '{_SETTING}'); download {part}, or do not list it"
                )
            require_folders(
                root / part / "frames", names, _SETTING, "unpack zips/NAME.zip into frames/NAME for each of them"
            )
            sequences += [(part, name) for name in names]
        if not sequences:
            raise ValueError("sets names no training set")
        super().__init__(_SETTING, root, sequences)

    def _folder(self, name: tuple[str, str]) -> Path:
        return self.root / name[0] / "frames" / name[1]

    def _annotation(self, name: tuple[str, str]) -> Path:
        return self.root / name[0] / "anno" / f"{name[1]}.txt"

    def _read(self, name: tuple[str, str]) -> SequenceInfo:
        annotation = self._annotation(name)
        num_frames = count_frames(annotation, self._folder(name), _SETTING, _frame_name)
        return video_info(read_boxes(annotation, _SETTING, num_frames))

    def _frame_path(self, index: int, frame: int) -> Path:
        return self._folder(self.sequences[index]) / _frame_name(frame)


def _frame_name(frame: int) -> str:
    return f"{frame}.jpg"
