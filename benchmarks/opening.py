"""Opening data sets of many images: seconds and memory of the first start, of the next, and of each loader process.

The data sets are made here: annotations in full, and images that are links to a few small files.
"""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import highest_memory
from benchmarks.timing import Table
from ltr.common.images import write_image
from ltr.dataset import COCO, TrackingNet, read_coco_detection

FRAMES = 20
"""Of each video: fewer than TrackingNet's 470, for the sake of the disk."""
_LINKS = 10_000  # of one file; file systems allow some ten thousands
_DAY = 86400


def opening(quick: bool) -> Table:
    table = Table(
        "Opening a data set, and what a loader process takes that has read every name",
        ["data set", "first start, s", "memory, MB", "next start, s", "memory, MB", "sent to spawn, kB", "own, MB",
         "own with lists, MB"],
    )  # fmt: skip
    sizes = (1_000,) if quick else (10_000, 100_000, 1_000_000)
    wanted = [("detection", size) for size in sizes]
    wanted += [("pairs", sizes[0])] + [("pairs", 100_000)] * (not quick)
    wanted += [("videos", size) for size in ((100,) if quick else (3_000, 30_000))]
    for kind, size in wanted:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "data"
            (make_videos if kind == "videos" else make_coco)(root, size)
            first, again = (_measured(kind, root, Path(folder) / "cache") for _ in range(2))
            shutil.rmtree(root)  # faster than what the standard library does with a temporary folder
        numbers = [
            f"{first['seconds']:.2f}", f"{first['memory'] / 1e6:.0f}", f"{again['seconds']:.2f}",
            f"{again['memory'] / 1e6:.0f}", f"{again['sent'] / 1e3:.1f}", f"{again['own'] / 1e6:.1f}",
            f"{again['own_list'] / 1e6:.1f}",
        ]  # fmt: skip
        table.add([f"{size:,} {KINDS[kind][0]}", *numbers], kind=kind, size=size, first=first, again=again)
    table.notes += [
        "Memory: the highest, less that of the imports. Own: memory that a forked process has written to when it has",
        "read every name; with lists, the same names as Python's texts. What takes under a second is not remembered.",
    ]
    return table


KINDS: dict[str, tuple[str, Callable[[Path], Any], Callable[[Any], Iterable[str]]]] = {
    "detection": ("images of COCO for detection", read_coco_detection, lambda data: data.files),
    "pairs": ("images of COCO for the tracker", COCO, lambda data: data._columns.names("files")),
    "videos": (
        f"videos of TrackingNet, {FRAMES} frames each",
        lambda root: TrackingNet(root, range(len(list(root.glob("TRAIN_*"))))),
        lambda data: (name for _, name in data.sequences),
    ),
}
"""By kind: what it is, how it is opened, and all of its names."""


def measure(kind: str, root: str) -> dict[str, float]:
    """Open a data set in this process, see :func:`opening`."""
    _, read, names_of = KINDS[kind]
    before = highest_memory()
    start = time.perf_counter()
    data = read(Path(root))
    seconds = time.perf_counter() - start
    memory = highest_memory() - before
    own = _own_memory(lambda: _read_all(names_of(data)))
    names = [str(name) for name in names_of(data)]
    return {
        "seconds": seconds,
        "memory": memory,
        "sent": len(pickle.dumps(data)),
        "own": own,
        "own_list": _own_memory(lambda: _read_all(names)),
    }


def _read_all(names: Iterable[str]) -> None:
    for name in names:
        assert name


def _own_memory(function: Callable[[], None]) -> int:
    """Bytes that a forked process has written to when it has called a function."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        before = _dirty()
        function()
        os.write(writing, str(_dirty() - before).encode())
        os._exit(0)
    os.waitpid(child, 0)
    grown = int(os.read(reading, 100))
    os.close(reading)
    os.close(writing)
    return grown


def _dirty() -> int:
    found = re.search(r"Private_Dirty:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text())
    assert found is not None
    return 1024 * int(found[1])


def _measured(kind: str, root: Path, cache: Path) -> dict[str, float]:
    program = "import json, sys; from benchmarks.opening import measure; print(json.dumps(measure(*sys.argv[1:])))"
    command = [sys.executable, "-c", program, kind, str(root)]
    environment = {**os.environ, "EBM_CACHE": str(cache)}
    here = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=here, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def make_coco(root: Path, count: int) -> None:
    """A COCO of so many images, each with an object."""
    (root / "annotations").mkdir(parents=True)
    images = root / "train2017"
    images.mkdir()
    random = np.random.default_rng(0)
    boxes = np.concatenate([random.random((count, 2)) * 8, 4 + random.random((count, 2)) * 8], 1).round(2).tolist()
    names = [f"{k:012d}.jpg" for k in range(count)]
    content = {
        "categories": [{"id": 1, "name": "thing"}],
        "images": [{"id": k, "file_name": name, "width": 32, "height": 24} for k, name in enumerate(names)],
        "annotations": [
            {"id": k, "image_id": k, "category_id": 1, "bbox": box, "iscrowd": 0, "area": box[2] * box[3]}
            for k, box in enumerate(boxes)
        ],
    }
    (root / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
    _link_images([images / name for name in names])
    _make_old(root)


def make_videos(root: Path, count: int) -> None:
    """A TrackingNet of so many videos, 2,500 in each set."""
    lines = "".join(f"{10 + k / 2:.2f},{20 + k / 4:.2f},{30 + k % 7},{40 + k % 5}\n" for k in range(FRAMES))
    frames = []
    for k in range(count):
        part, name = root / f"TRAIN_{k // 2500}", f"video{k:07d}_0"
        (part / "anno").mkdir(parents=True, exist_ok=True)
        (part / "anno" / f"{name}.txt").write_text(lines)
        (part / "frames" / name).mkdir(parents=True)
        frames += [part / "frames" / name / f"{i}.jpg" for i in range(FRAMES)]
    _link_images(frames)
    _make_old(root)


def _link_images(files: list[Path]) -> None:
    for k, file in enumerate(files):
        if k % _LINKS == 0:
            write_image(file, np.full((24, 32, 3), 128, np.uint8))
            original = file
        else:
            os.link(original, file)


def _make_old(root: Path) -> None:
    """Yesterday's files: what has just been made is not remembered, since it may still change."""
    yesterday = time.time() - _DAY
    for folder, _, files in os.walk(root):
        for name in ("", *(name for name in files if not name.endswith(".jpg"))):
            os.utime(os.path.join(folder, name), (yesterday, yesterday))
