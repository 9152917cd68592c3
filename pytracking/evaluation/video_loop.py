"""The loop of a run on a video: frame after frame to the trackers, and what they answer to the views."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from pytracking.evaluation.video_plan import RunPlan
from pytracking.evaluation.video_targets import Targets
from pytracking.utils.frame_selection import Part
from pytracking.utils.frame_table import FrameTable
from pytracking.utils.video import Frame, FrameSource
from pytracking.view.base import Request, Target, TrackedFrame, View
from pytracking.view.window import WindowView


class VideoRun:
    """Tracks objects through one source and shows each frame to a view.

    Args:
        source: names the frames.
        view: of all that is recorded.
        window: in which the user watches the run and puts boxes right, before a frame is recorded.
        bar: show a progress bar, on a terminal.
        keep_bar: leave the progress bar where it is at the end.

    Attributes:
        frames: number of frames that were tracked.
        seconds: in the trackers.
    """

    def __init__(
        self, source: FrameSource, view: View, window: WindowView | None = None, bar: bool = True, keep_bar: bool = True
    ):
        self.view, self.window = view, window
        self._no_bar = None if bar else True  # as tqdm has it: None for none without a terminal
        self._keep_bar = keep_bar
        self.frames = 0
        self.seconds = 0.0
        self._source = source
        self._length = source.count if isinstance(source, Part) else source.total  # frames count in the whole

    def track(self, targets: Targets, passes: Iterable[Iterable[Frame]], plan: RunPlan) -> bool:
        """Track through the frames of each pass.

        Args:
            passes: the frames that `plan.passes` names; one pass for a plan without.

        Returns:
            False if the user stops the run before its end.
        """
        total = sum(len(frames) for frames in plan.passes) or self._source.total
        with (
            FrameTable() as kept,  # what the first pass found in the frames that the second one goes over again
            tqdm(total=total, unit="frame", desc=self._source.name, disable=self._no_bar, leave=self._keep_bar) as bar,
        ):
            for number, frames in enumerate(passes):
                targets.forget()
                back = number > 0
                for frame in frames:
                    index = frame.index
                    known = _known(plan, index, kept) if back else {}
                    tracked = self._step(targets, frame, plan.given.get(index, {}), known)
                    bar.update()
                    if back and index >= max(plan.starts):  # recorded by the first pass
                        continue
                    going_on, tracked = self._show(targets, tracked, plan, back)
                    if not going_on:
                        return False
                    if not back and plan.starts and index < max(plan.starts):
                        kept[index] = pickle.dumps(tuple(map(_without_extras, tracked.targets)))
        return True

    def close(self, complete: bool) -> None:
        """Close the window and the view; `complete` says whether every frame was shown."""
        if self.window is not None:
            self.window.close(complete)
        self.view.close(complete)

    def _step(
        self, targets: Targets, frame: Frame, given: Mapping[int, np.ndarray], known: Mapping[int, Target]
    ) -> TrackedFrame:
        found = targets.step(frame.image, given, self._request(), known)
        self.seconds += sum(target.seconds for number, target in enumerate(found) if number not in known)
        self.frames += 1
        return TrackedFrame(self._source.name, frame.index, self._length, frame.image, found, frame.time)

    def _request(self) -> Request:
        request = self.view.request()
        return request | self.window.request() if self.window else request

    def _show(self, targets: Targets, tracked: TrackedFrame, plan: RunPlan, back: bool) -> tuple[bool, TrackedFrame]:
        """Show a frame, first in the window, where the user may give boxes. Returns what was recorded of it too."""
        going_on = True
        if self.window is not None:
            going_on = self.window.show(tracked)
            while drawn := self.window.take_drawn():
                plan.correct(tracked.index, drawn, back)
                others = {number: target for number, target in enumerate(tracked.targets) if number not in drawn}
                found = targets.step(tracked.image, drawn, self._request(), others)
                self.seconds += sum(found[number].seconds for number in drawn)
                tracked = replace(tracked, targets=found)
                going_on = self.window.show(tracked)
        recorded = self.view.show(tracked)
        return recorded and going_on, tracked


def _without_extras(target: Target) -> Target:
    """The target with little that takes memory."""
    return replace(target, output=replace(target.output, density=None, extra={}), events=())


def _known(plan: RunPlan, frame: int, kept: FrameTable) -> dict[int, Target]:
    """The objects that the first pass tracked in this frame."""
    found = kept.get(frame)
    if found is None:
        return {}
    assert isinstance(found, bytes)
    return {number: target for number, target in enumerate(pickle.loads(found)) if plan.starts[number] < frame}
