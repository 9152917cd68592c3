"""The plan of a run on a video: in which frames which objects have a given box, and in which order frames are read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ltr.common.errors import UserError
from pytracking.evaluation.typed_boxes import check_typed_box
from pytracking.utils.frame_selection import Part, Place
from pytracking.utils.video import FrameSource

GivenBoxes = dict[int, dict[int, np.ndarray]]
"""Frame -> object -> box; frames by their index in the source, objects from 0, boxes (4,) x, y, w, h in pixels."""


@dataclass(frozen=True)
class BoxAt:
    """A box that the user gives in a frame, --box_at [OBJECT@]FRAME X Y W H.

    Attributes:
        place: the frame.
        number: of the object, from 1; None if there is only one.
        box: x, y, w, h in pixels.
        source: what messages call it, if it does not come from --box_at.
    """

    place: Place
    number: int | None
    box: tuple[float, ...]
    source: str = ""

    @classmethod
    def parse(cls, words: Sequence[str]) -> BoxAt:
        """
        Raises:
            UserError: if the first word names no frame, or the others are no numbers.
        """
        where, *box = words
        named = re.fullmatch(r"(?:(\d+)@)?([^@]+)", where, re.ASCII)
        if named is None or named[1] is not None and not int(named[1]):
            raise UserError(f"--box_at {where}: give the frame, or the object's number, from 1, and the frame: 2@250")
        try:
            numbers = tuple(float(word) for word in box)
        except ValueError:
            raise UserError(f"--box_at {' '.join(words)}: after the frame come four numbers x y w h") from None
        return cls(Place.parse(named[2]), int(named[1]) if named[1] else None, numbers)

    def __str__(self) -> str:
        return self.source or f"--box_at {'' if self.number is None else f'{self.number}@'}{self.place.text}"


@dataclass
class RunPlan:
    """What a run does.

    Attributes:
        given: the boxes that start an object, or put it right.
        passes: the frames to be read one after another; empty for all frames of a source in their order.
        starts: for a second pass, which goes back from the middle: the first frame of each object, where it begins
            once more; empty for a single pass.
    """

    given: GivenBoxes
    passes: list[range]
    starts: list[int] = field(default_factory=list)

    def start(self, frame: int, boxes: Sequence[np.ndarray]) -> None:
        """Take the boxes of the first frame.

        Raises:
            UserError: if an object has another one there.
        """
        at = self.given.setdefault(frame, {})
        for number, box in enumerate(boxes):
            if number in at:
                raise UserError(f"object {number + 1} has two boxes in frame {frame}, --box and --box_at; give one")
            at[number] = box

    def first_boxes(self) -> list[np.ndarray]:
        """The first box of each object, in the order in which the first pass reads."""
        order = sorted(self.given, reverse=bool(self.passes) and self.passes[0].step < 0)
        first = {number: box for frame in reversed(order) for number, box in self.given[frame].items()}
        return [first[number] for number in sorted(first)]

    def correct(self, frame: int, boxes: Mapping[int, np.ndarray], back: bool) -> None:
        """Take boxes that the user drew in a frame, in the second pass (`back`) or the first."""
        self.given.setdefault(frame, {}).update(boxes)
        for number in boxes:
            if self.starts:
                self.starts[number] = (max if back else min)(self.starts[number], frame)


def given_boxes(boxes_at: Sequence[BoxAt], part: Part, boxes: int) -> GivenBoxes:
    """Find the frames of boxes, and check the boxes in them.

    Args:
        boxes: the number of objects that have a box in the first frame (--box).

    Raises:
        UserError: if a frame is not selected, a box cannot be used, or it is not clear which object one is for.
    """
    given: GivenBoxes = {}
    for each in boxes_at:
        numbers = {other.number for other in boxes_at if other.number is not None}
        if each.number is None and (boxes > 1 or numbers):
            count = max({boxes, *numbers})
            raise UserError(f"{each}: say which of the {count} objects it is, such as 1@{each.place.text}")
        frame = part.find(each.place, f"{each.source}:" if each.source else "--box_at")
        number = (each.number or 1) - 1
        if number in given.setdefault(frame, {}):
            raise UserError(f"{each}: object {number + 1} has two boxes in frame {frame}; give one")
        for image in (found.image for found in part.read(range(frame, frame + 1))):
            try:
                given[frame][number] = check_typed_box(each.box, image)
            except UserError as error:
                raise UserError(f"{each}: {error}") from None
        if number not in given[frame]:
            raise UserError(f"{each}: this frame cannot be read; give the box in another one")
    present = {number for at in given.values() for number in at} | set(range(boxes))
    missing = set(range(max(present, default=0))) - present
    if missing:
        raise UserError(
            f"--box_at has a box of object {max(present) + 1} and none of object {min(missing) + 1}; "
            "number objects from 1 on"
        )
    return given


def make_plan(source: FrameSource, boxes: Sequence, boxes_at: Sequence[BoxAt], both_ways: bool) -> RunPlan:
    """The plan of a run.

    Args:
        source: a `Part` if frames are selected or have boxes.
        boxes: in the first frame; they go into the plan by :meth:`RunPlan.start`.
        both_ways: go from each object's first box to the end, and from there back to the beginning.

    Raises:
        UserError: as :func:`given_boxes`, or if there is no box to go both ways from.
    """
    if not isinstance(source, Part):
        return RunPlan({}, [])
    if both_ways and (boxes or not boxes_at):
        raise UserError("--both_ways goes from a frame in the middle: give the box there, --box_at FRAME X Y W H")
    given = given_boxes(boxes_at, source, len(boxes))
    frames = source.frames
    if not both_ways:
        return RunPlan(given, [frames])
    count = 1 + max(number for at in given.values() for number in at)
    starts = [min(frame for frame, at in given.items() if number in at) for number in range(count)]
    onward = frames[frames.index(min(starts)) :]
    back = frames[: frames.index(max(starts)) + 1][::-1]
    return RunPlan(given, [onward, back], starts) if len(back) > 1 else RunPlan(given, [onward])
