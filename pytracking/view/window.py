"""A run in a window, and boxes drawn with the mouse. OpenCV opens the window if its build and the machine can."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from ltr.common.errors import UserError
from pytracking.utils.drawing import draw_box, draw_label, enlarge, whole_scale
from pytracking.view.base import Request, TrackedFrame
from pytracking.view.picture import draw_frame, target_colour

HELP = "space: pause or resume; right arrow, n or dot: next frame; q, Escape or closing the window: stop"
RUN_HELP = f"{HELP}; b: draw a target's box anew"

_LARGEST = (1280, 800)  # of a window as it opens
_POLL = 30  # milliseconds between two checks whether a paused window was closed
_STOP = {ord("q"), ord("Q"), 27}
_PAUSE = {ord(" ")}
_BOX = {ord("b"), ord("B")}
_LEAST_SIDE = 2.0  # pixels of the image: a smaller box was not meant
_ENTER = {10, 13}
# The right arrow's codes on X11, Windows and macOS.
_STEP = {ord("n"), ord("N"), ord("."), 65363, 2555904, 63235}
_FLAGS = cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL


def why_no_window() -> str | None:
    """The reason why no window can be opened here; None if one can."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "this machine has no display (DISPLAY is not set)"
    # If DISPLAY names a display that does not answer, Qt ends the process: only another process can try.
    trial = [sys.executable, "-c", "import cv2; cv2.namedWindow('trial'); cv2.waitKey(1); cv2.destroyAllWindows()"]
    try:
        failed = subprocess.run(trial, capture_output=True, timeout=30).returncode != 0
    except (OSError, subprocess.TimeoutExpired):
        failed = True
    return "OpenCV cannot open one (is it opencv-python-headless, or does the display not answer?)" if failed else None


class ImageWindow:
    """Shows pictures one after another. :data:`HELP` says what the keys do.

    While the window is paused, :meth:`show` does not return.

    Args:
        title: of the window.
        commands: further keys: one of them pauses and lets :meth:`show` return, and is then what :meth:`take_command`
            gives.
    """

    def __init__(self, title: str, commands: Container[int] = ()):
        self.title = title
        self._commands = commands
        self._opened = self._paused = False
        self._command = -1

    def show(self, picture: np.ndarray, milliseconds: int = 1) -> bool:
        """Show a picture, uint8 (H, W, 3) RGB, for at least `milliseconds`.

        Returns:
            False if the user wants to stop.

        Raises:
            UserError: if the window cannot be shown.
        """
        if not self._opened:
            _open(self.title, picture)
            self._opened = True
        _show(self.title, picture)
        while True:
            key = _key(self.title, _POLL if self._paused else milliseconds)
            if key is None or key in _STOP:
                return False
            if key in _STEP or key in self._commands:
                self._paused = True
                self._command = key if key in self._commands else -1
                return True
            if key in _PAUSE:
                self._paused = not self._paused
            if not self._paused:
                return True

    def take_command(self) -> int:
        """The key of a command that was pressed in the last picture; -1 if none was."""
        command, self._command = self._command, -1
        return command

    def close(self) -> None:
        if self._opened:
            _close(self.title)
            self._opened = False


class WindowView:
    """Shows every frame in a window as it is tracked. While it is paused, the tracker waits. :data:`RUN_HELP` says what
    the keys do.

    Args:
        title: of the window.
        density: request the density and draw it.
    """

    def __init__(self, title: str, density: bool = False):
        self._window = ImageWindow(title, _BOX)
        self._density = density
        self._drawn: dict[int, np.ndarray] = {}

    def request(self) -> Request:
        return Request(density=self._density)

    def show(self, frame: TrackedFrame) -> bool:
        picture = draw_frame(frame, whole_scale(frame.image), self._density)
        while True:
            going_on = self._window.show(picture)
            if self._window.take_command() == -1:
                return going_on
            self._drawn = _redraw(self._window.title, frame)
            if self._drawn:
                return True

    def take_drawn(self) -> dict[int, np.ndarray]:
        """The boxes (4,) that the user drew in the last frame, by the target's number from 0; each is given once."""
        drawn, self._drawn = self._drawn, {}
        return drawn

    def close(self, complete: bool) -> None:
        self._window.close()


def _redraw(title: str, frame: TrackedFrame) -> dict[int, np.ndarray]:
    """Let the user draw the box of one target; returns it by the target's number, or nothing if it is given up."""
    place = f"frame {frame.index}" if frame.time is None else f"frame {frame.index}, {frame.time:.2f} s"
    scale = whole_scale(frame.image)
    number = _ask_number(title, draw_frame(frame, scale), place, len(frame.targets))
    if number is None:
        return {}
    canvas = enlarge(frame.image, scale)
    for other, target in enumerate(frame.targets):
        if other != number:
            draw_box(canvas, target.output.box, target_colour(other), 2, scale)
    name = "the target" if len(frame.targets) == 1 else frame.targets[number].name
    box = _select(title, canvas, f"{place}: draw the box of {name} and press Enter; c gives up") / scale
    return {number: box} if box[2:].min() >= _LEAST_SIDE else {}


def _ask_number(title: str, picture: np.ndarray, place: str, count: int) -> int | None:
    """The number of a target, from 0, whose digits the user types and ends with Enter; None if there is none."""
    if count == 1:
        return 0
    typed = ""
    while True:
        shown = picture.copy()
        draw_label(shown, f"{place}: number of the object, 1 to {count}, and Enter: {typed}", size=15)
        _show(title, shown)
        key = _key(title, _POLL)
        if key is None or key in _STOP:
            return None
        if key in _ENTER:
            return int(typed) - 1 if typed and 1 <= int(typed) <= count else None
        if ord("0") <= key <= ord("9"):
            typed += chr(key)


def _select(title: str, canvas: np.ndarray, hint: str) -> np.ndarray:
    """(4,): the box that the user draws on a picture; zeros if none is drawn."""
    shown = canvas.copy()
    draw_label(shown, hint, size=15)
    drawn = cv2.selectROI(title, _bgr(shown), showCrosshair=False, fromCenter=False, printNotice=False)
    return np.array(drawn, np.float64)


def choose_boxes(title: str, images: Iterable[np.ndarray], live: bool = False) -> tuple[np.ndarray, list[np.ndarray]]:
    """Let the user draw boxes with the mouse: Enter or space confirms a box, Enter without a new box ends.

    Args:
        title: of the window.
        images: uint8 (H, W, 3) RGB.
        live: show the images until a key is pressed, and draw on the last one; otherwise draw on the first one.

    Returns:
        The image, and at least one box (4,): x, y, w, h in its pixels.

    Raises:
        UserError: if no box was drawn, or no window can be shown.
    """
    image = _wait_for_key(title, images) if live else next(iter(images))
    scale = whole_scale(image)
    canvas = enlarge(image, scale)
    boxes: list[np.ndarray] = []
    _open(title, canvas)
    try:
        while True:
            hint = "draw a box and press Enter" if not boxes else f"{len(boxes)}: draw another, or press Enter to start"
            drawn = _select(title, canvas, hint)
            if not (drawn[2:] > 0).all():
                break
            boxes.append(drawn / scale)
            draw_box(canvas, boxes[-1], target_colour(len(boxes) - 1), 2, scale)
    finally:
        _close(title)
    if not boxes:
        raise UserError("no box was drawn; draw one around the target, or give --box x y w h")
    return image, boxes


def _wait_for_key(title: str, images: Iterable[np.ndarray]) -> np.ndarray:
    opened = False
    for image in images:
        picture = enlarge(image, whole_scale(image))
        draw_label(picture, "press space to stop the picture and draw boxes", size=15)
        if not opened:
            _open(title, picture)
            opened = True
        _show(title, picture)
        key = _key(title, 1)
        if key is None or key in _STOP:
            _close(title)
            raise UserError("no box was drawn before the window was closed")
        if key in _PAUSE | _ENTER:
            return image
    raise UserError("the camera ended before a box was drawn")


def _open(title: str, picture: np.ndarray) -> None:
    with _as_user_error():
        cv2.namedWindow(title, _FLAGS)
        share = min(1.0, _LARGEST[0] / picture.shape[1], _LARGEST[1] / picture.shape[0])
        cv2.resizeWindow(title, max(1, round(picture.shape[1] * share)), max(1, round(picture.shape[0] * share)))


def _show(title: str, picture: np.ndarray) -> None:
    with _as_user_error():
        cv2.imshow(title, _bgr(picture))


def _key(title: str, milliseconds: int) -> int | None:
    """The key pressed within this time, -1 for none; None if the window was closed."""
    with _as_user_error():
        key = cv2.waitKeyEx(milliseconds)
        # Some backends cannot tell (-1). In the others a window exists once the program has waited for a key.
        return None if cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) == 0 else key


def _close(title: str) -> None:
    try:
        cv2.destroyWindow(title)
        cv2.waitKey(1)  # lets the window system act
    except cv2.error:
        pass  # the user has closed it


@contextmanager
def _as_user_error() -> Iterator[None]:
    try:
        yield
    except cv2.error as error:
        raise UserError(f"the window cannot be shown ({error.err}); run with --no_display") from error


def _bgr(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[..., ::-1])
