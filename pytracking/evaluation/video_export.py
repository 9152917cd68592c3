"""Exports the results of a run on a video to the formats of annotation tools, when the run is over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytracking.annotation.formats import export_tracks
from pytracking.annotation.tracks import label_each
from pytracking.annotation.video_record import read_record
from pytracking.evaluation.video_results import VideoResults
from pytracking.view.base import NO_REQUEST, Request, TrackedFrame


class ExportView:
    """A view that writes {folder of the results}/{format}/{video} from the record of the run.

    Args:
        results: closed before this view is.
        formats: keys of `EXPORT_FORMATS`.

    Attributes:
        files: what was written.
    """

    def __init__(self, results: VideoResults, formats: Sequence[str]):
        self.files: list[Path] = []
        self._results, self._formats = results, list(formats)

    def request(self) -> Request:
        return NO_REQUEST

    def show(self, frame: TrackedFrame) -> bool:
        return True

    def close(self, complete: bool) -> None:
        record = self._results.record_file()
        if self._results.frames:
            self.files = export_tracks(read_record(record), self._formats, record.parent, record.stem)


def describe_objects(names: Sequence[str], ids: Sequence[int], labels: Sequence[str]) -> list[dict[str, Any]]:
    """Name, id and label of each object, for the record of a run.

    Args:
        names: of the targets.
        ids: one for each; none for 1, 2, ....
        labels: one for each, or one for all; none for the label 'object'.

    Raises:
        AnnotationError: if there are labels for another number of objects.
    """
    numbers = ids or range(1, len(names) + 1)
    described = zip(names, numbers, label_each(labels, len(names)), strict=True)
    return [{"name": name, "id": number, "label": label} for name, number, label in described]
