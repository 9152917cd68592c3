"""What a view costs: a sequence tracked without views, with a video recording, with the density of every frame, and
with the live view, with and without a browser that shows it. Whole frames are timed, the views' work in the run's own
thread included; the live view's thread, its server and the browser run on the same cores.
"""

import contextlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.frame import FRAMES, SOME, sequence_frames, threads_of
from benchmarks.timing import Table, budget, milliseconds, progress, summarise
from pytracking import Tracker
from pytracking.view.base import Request, TargetTracker, TrackedFrame, View, Views
from pytracking.view.live.visdom_view import VisdomView
from pytracking.view.page_scripts import VisdomPackage
from pytracking.view.recording import VideoView


class DensityOfEach(Views):
    """Asks for every frame's density, as --density does."""

    def request(self) -> Request:
        return Request(density=True)


def run(device: str, quick: bool) -> Iterator[Table]:
    name, frames, box = sequence_frames(30 if quick else FRAMES)
    repeats = 1 if quick else 3
    table = Table(
        f"Frames per second of `atom ebm` with views: {name} ({len(frames)} frames), {threads_of(device)}",
        ["view", "frames/s", "ms a frame", "share of the speed without"],
    )
    tracker = Tracker("atom", "ebm", device)
    seconds: dict[str, list[float]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        views = {"none": Views, "video": lambda: VideoView(folder / "video.mp4"), "density of each": DensityOfEach}
        port = stack.enter_context(live_server(table.notes))
        if port:
            views["live view"] = lambda: VisdomView("localhost", port)
            views["live view in a browser"] = lambda: VisdomView("localhost", port)
        for _ in budget.share(range(repeats)):
            for view, make in budget.share(views.items()):
                with _browser(port) if "browser" in view else contextlib.nullcontext(True) as there:
                    if there:
                        seconds[view].append(_follow(tracker, make, frames, box))
                        progress(f"  {view}: {1 / seconds[view][-1]:.1f} frames/s")
    without = summarise(seconds["none"]).median
    for view, values in seconds.items():
        timing = summarise(values)
        share = without / timing.median
        table.add([view, f"{1 / timing.median:.1f}", milliseconds(timing.median), f"{share:.2f}"], view=view,
                  seconds_per_frame=timing, share=share)  # fmt: skip
    table.notes.append(f"medians over {max(map(len, seconds.values()))} runs")
    yield table


def _follow(tracker, make: Callable[[], View], frames: list[np.ndarray], box: np.ndarray) -> float:
    """Seconds a frame."""
    view = make()
    try:
        target_tracker = TargetTracker(tracker)
        target = target_tracker.initialize(frames[0], box, view.request())
        view.show(TrackedFrame("speed", 0, len(frames), frames[0], (target,)))
        start = time.perf_counter()
        for index, image in enumerate(frames[1:], 1):
            target = target_tracker.track(image, view.request())
            view.show(TrackedFrame("speed", index, len(frames), image, (target,)))
            if index >= SOME and budget.up():
                break
        return (time.perf_counter() - start) / index
    finally:
        view.close(True)


@contextlib.contextmanager
def live_server(notes: list[str]) -> Iterator[int | None]:
    """The port of a visdom server, or None where there is none to start, which `notes` then says."""
    try:
        missing = VisdomPackage.find().missing()
    except Exception as error:
        missing = [str(error)]
    if missing:
        notes.append("no live view: bash install.sh --visdom")
        yield None
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "pytracking.view.server", "--port", str(port)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _browser(port: int) -> Iterator[bool]:
    """A headless Chromium that shows the page; False where there is none."""
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if binary is None:
        yield False
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # A debugging port keeps it open.
        process = subprocess.Popen(
            [binary, "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
             "--remote-debugging-port=0", f"--user-data-dir={profile}", "--window-size=1600,1000",
             f"http://localhost:{port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            time.sleep(5)  # its start is not the view's cost
            yield True
        finally:
            process.terminate()
            process.wait()
