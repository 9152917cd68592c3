"""A tracked frame: frames per second of each tracker, the parts of a frame, the first frame, memory.

On a real sequence of OTB-100 where there is the real data of the tests (EBM_SHARED_DATA), else on a generated one. The
trackers on ResNet-18 have random weights: their boxes mean nothing, their speed does.
"""

import contextlib
import functools
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from benchmarks.real_data import real_data
from benchmarks.timing import Table, budget, milliseconds, progress, summarise, waiting_for
from ltr.common.images import read_image
from ltr.common.provenance import usable_cores
from ltr.data.crops import Crop
from ltr.dataset.generated import benchmark_scene
from ltr.models.bbreg import RESNET18, AtomNet, FrozenBoxNet
from ltr.ops import dense
from pytracking.evaluation.datasets import read_folder
from pytracking.factory import tracker_settings
from pytracking.tracker.atom import atom, shared_steps
from pytracking.tracker.atom.atom import Atom
from pytracking.tracker.atom.classifier import TargetClassifier
from pytracking.tracker.atom.network import TrackerNetwork
from tests.helpers.plain import plain_atom

SEQUENCE, FRAMES = "David", 300  # long enough to fill the classifier's memory
SOME = 20  # frames that a run has, however little time there is
PARTS = {
    "crop": (Crop, "extract"),
    "backbone": (TrackerNetwork, "features"),
    "box head's convolutions": (FrozenBoxNet, "encode"),
    "classifier's scores": (TargetClassifier, "respond"),
    "localisation": (atom, "localize"),
    "refinement": (shared_steps, "_climb"),
    "classifier's memory": (TargetClassifier, "remember"),
    "classifier's updates": (TargetClassifier, "update"),
}
CONVOLUTIONS = ("backbone", "box head's convolutions")


def run(device: str, quick: bool) -> Iterator[Callable[[], Table]]:
    name, frames, box = sequence_frames(30 if quick else FRAMES)
    size = f"{frames[0].shape[1]} x {frames[0].shape[0]}"
    where = f"{name} ({len(frames)} frames of {size}), {threads_of(device)}"
    with tempfile.TemporaryDirectory() as folder:
        makers = _trackers(device, Path(folder))
        trackers = {name: make() for name, make in makers.items()}
        yield functools.partial(_speed, trackers, where, frames, box, 1 if quick else 3)
        for name in ("ebm", "ebm_resnet18"):
            title = f"The parts of a frame of {name}: {where}"
            yield functools.partial(_parts, trackers[name], title, frames, box, device)
        yield functools.partial(_memory, Path(folder), device)


def sequence_frames(length: int) -> tuple[str, list[np.ndarray], np.ndarray]:
    """The name of a sequence, that many of its frames and the first box."""
    folder = real_data() / "otb" / SEQUENCE
    if folder.is_dir():
        (sequence,) = (s for s in read_folder(folder.parent) if s.name == SEQUENCE)
        return SEQUENCE, [read_image(file) for file in sequence.frames[:length]], sequence.first_box
    scene = benchmark_scene("rotation")
    numbers = [*range(len(scene.boxes())), *range(len(scene.boxes()) - 1, 0, -1)]  # there and back again
    return "generated 'rotation'", [scene.render(k) for k in (numbers * 10)[:length]], scene.boxes()[0]


def threads_of(device: str) -> str:
    """What the work runs on, in words."""
    if torch.device(device).type != "cpu":
        return device
    return f"{torch.get_num_threads()} threads on {usable_cores()} cores"


def _random_resnet(folder: Path) -> Path:
    file = folder / "random.pth"
    torch.manual_seed(0)
    torch.save({"net": AtomNet(RESNET18, imagenet=False).state_dict()}, file)
    return file


def _trackers(device: str, folder: Path) -> dict[str, Callable[[], Atom]]:
    random = str(_random_resnet(folder))

    def settings(param: str, *overrides: str):
        network = ("--network", random) if param.endswith("resnet18") else ()
        return tracker_settings("atom", param, (*network, *overrides))

    names = [f"{system}{backbone}" for backbone in ("", "_resnet18") for system in ("default", "atom_star", "ebm")]
    makers = {name: functools.partial(Atom, settings(name), device) for name in names}
    if torch.device(device).type == "cpu":
        for name in ("ebm", "ebm_resnet18"):
            makers[f"{name}, plain path"] = functools.partial(plain_atom, settings(name))
    return makers


def _speed(trackers: dict[str, Atom], where: str, frames: list[np.ndarray], box: np.ndarray, repeats: int) -> Table:
    """Whole sequences, one tracker after the other, several times."""
    table = Table(f"Frames per second: {where}", ["tracker", "frames/s", "ms a frame", "slowest 1%", "first frame, ms"])
    first, rest = defaultdict(list), defaultdict(list)
    for name, tracker in trackers.items():
        with _form_of(name):
            _run(tracker, frames[:SOME], box)  # warms up
    for _ in budget.share(range(repeats)):
        for name, tracker in budget.share(trackers.items()):
            with _form_of(name):
                # the plain path is slow, and a part of the sequence is enough of it
                start, _, *seconds = _run(tracker, frames[:SOME] if "plain" in name else frames, box)
            first[name].append(start)
            rest[name].append(seconds)
            progress(f"  {name}: {len(seconds) / sum(seconds):.1f} frames/s")
    for name in rest:
        mean = summarise([float(np.mean(seconds)) for seconds in rest[name]])
        slowest = float(np.quantile(np.concatenate(rest[name]), 0.99))
        start = summarise(first[name])
        table.add(
            [name, f"{1 / mean.median:.1f}", milliseconds(mean.median), milliseconds(slowest),
             milliseconds(start.median)],
            tracker=name, seconds_per_frame=mean, slowest=slowest, first_frame=start,
        )  # fmt: skip
    runs, length = max(map(len, rest.values())), max(len(seconds) for run in rest.values() for seconds in run) + 2
    if missing := [name for name in trackers if name not in rest]:
        table.notes.append(f"left out, since the time was up (--seconds): {'; '.join(missing)}")
    table.notes.append(f"medians over {runs} runs of the mean over {length} frames; the second frame is not counted")
    return table


@contextlib.contextmanager
def without_kernels() -> Iterator[None]:
    """As on a machine without the compiled kernels: all of PyTorch's threads compute its operators."""
    with mock.patch.object(dense, "available", lambda: False):
        yield


def _form_of(name: str) -> contextlib.AbstractContextManager[None]:
    """A block in which the tracker of this name runs as it should: the plain path without kernels."""
    return without_kernels() if "plain" in name else contextlib.nullcontext()


def _run(tracker: Atom, frames: list[np.ndarray], box: np.ndarray) -> list[float]:
    seconds = []
    for k, frame in enumerate(frames):
        start = time.perf_counter()
        tracker.track(frame) if k else tracker.initialize(frame, box)
        seconds.append(time.perf_counter() - start)
        if len(seconds) >= SOME and budget.up():
            break
    return seconds


def _parts(tracker: Atom, title: str, frames: list[np.ndarray], box: np.ndarray, device: str) -> Table:
    table = Table(title, ["part", "ms", "%"])
    wait = waiting_for(device)
    spent: dict[str, float] = defaultdict(float)

    def timed(part: str, function: Callable) -> Callable:
        @functools.wraps(function)
        def wrapper(*arguments, **keywords):
            wait()
            start = time.perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                wait()
                spent[part] += time.perf_counter() - start

        return wrapper

    with contextlib.ExitStack() as stack:
        for part, (owner, name) in PARTS.items():
            stack.enter_context(mock.patch.object(owner, name, timed(part, getattr(owner, name))))
        tracker.initialize(frames[0], box)
        tracker.track(frames[1])
        spent.clear()
        start = time.perf_counter()
        for count, frame in enumerate(frames[2:], 1):
            tracker.track(frame)
            if count >= SOME and budget.up():
                break
        whole = time.perf_counter() - start
    spent["all else"] = whole - sum(spent.values())
    for part in [*PARTS, "all else"]:
        share = spent[part] / whole
        table.add([part, milliseconds(spent[part] / count), f"{100 * share:.1f}"], part=part,
                  seconds=spent[part] / count, share=share)  # fmt: skip
    share = sum(spent[part] for part in CONVOLUTIONS) / whole
    table.add(["the frame", milliseconds(whole / count), "100.0"], part="frame", seconds=whole / count, share=1.0)
    table.notes.append(f"convolutions (the first two of them): {100 * share:.0f}% of the frame")
    return table


_MEASURE = """
import sys, numpy as np, torch
from benchmarks.process import highest_memory
from pytracking.factory import tracker_settings
from pytracking.tracker.atom.atom import Atom
before, device = highest_memory(), sys.argv[1]
tracker = Atom(tracker_settings("atom", sys.argv[2], sys.argv[3:]), device)
image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
tracker.initialize(image, np.array([300.0, 200, 60, 80]))
for _ in range(20):
    tracker.track(image)
gpu = torch.cuda.max_memory_allocated() if torch.device(device).type == "cuda" else 0
print(before, highest_memory(), gpu)
"""


def _memory(folder: Path, device: str) -> Table:
    """Each tracker in a process of its own."""
    table = Table("Peak memory, MiB", ["tracker", "with libraries loaded", "tracking", "on the GPU"])
    if not Path("/proc/self/status").exists():
        table.notes.append("not measured: this system has no /proc")
        return table
    rows = {"ebm": [], "ebm_resnet18": ["--network", str(_random_resnet(folder))]}
    for name in table.within_budget(list(rows)):
        run = subprocess.run(
            [sys.executable, "-c", _MEASURE, device, name, *rows[name]], capture_output=True, text=True, check=True
        )
        before, peak, gpu = (int(size) / 2**20 for size in run.stdout.split()[-3:])
        table.add([name, f"{before:.0f}", f"{peak:.0f}", f"{gpu:.0f}" if gpu else "-"], tracker=name,
                  libraries=before, peak=peak, gpu=gpu)  # fmt: skip
    return table
