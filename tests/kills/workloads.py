"""What is killed: commands that a user runs for hours, in seconds, and what must be the same however often they are
killed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from ltr.commands import compare_toy, evaluate, reproduce, train
from ltr.common.images import write_image
from ltr.common.provenance import provenance
from ltr.dataset.generated import benchmark_scene
from ltr.evaluation.detection import candidates
from ltr.evaluation.detection import command as detection
from ltr.models.weights_file import read_safetensors
from pytracking.commands import analyse, track, video
from pytracking.evaluation.results import ResultFolder
from pytracking.utils.video_writer import VideoWriter
from tests.helpers.offset_detector import OffsetDetector, write_coco

SEQUENCES = ("scale", "rotation", "blur", "occlusion")
_FRAMES = 30
_IGNORED = r"events\.out\.tfevents\..*|train\.log"


@dataclass(frozen=True)
class Workload:
    """A command and its results.

    Attributes:
        prepare: writes what it reads into a folder.
        run: the command, given the folder of what it reads and the folder of its results; returns the exit code.
        final: a pattern of the names of files that count as finished as soon as they are there.
        complete: whether a folder's files count as finished at all.
        ignored: a pattern of the names of files that may differ in number: curves, logs of what was printed.
    """

    prepare: Callable[[Path], None]
    run: Callable[[Path, Path], int | None]
    final: str
    complete: Callable[[Path], bool] = Path.is_dir
    ignored: str = _IGNORED

    def is_final(self, name: str) -> bool:
        """Whether a file, by its path in the folder of the results, counts as finished as soon as it is there."""
        return re.fullmatch(self.final, Path(name).name) is not None


def _nothing(data: Path) -> None:
    pass


def _train(data: Path, out: Path) -> int | None:
    settings = ["--epochs", "5", "--val_every", "2", "--workers", "2", "--checkpoint_minutes", "0", "--device", "cpu"]
    return train.main(["toy", "ebm", *settings, "--workspace", str(out)])


def _reproduce(data: Path, out: Path) -> int | None:
    settings = ["--epochs", "3", "--checkpoint_minutes", "0", "--device", "cpu", "--workspace", str(out)]
    return reproduce.main(["toy", "--seeds", "0", "1", "--jobs", "2", *settings])


def _compare(data: Path, out: Path) -> int | None:
    options = ["--seeds", "2", "--sets", "1", "2", "--methods", "gaussian", "nll", "--epochs", "2"]
    return compare_toy.main([*options, "--num_samples", "16", "--workspace", str(out)])


def _write_sequences(data: Path) -> None:
    for name in SEQUENCES:
        scene = benchmark_scene(name)
        (data / name / "img").mkdir(parents=True)
        for frame in range(_FRAMES):
            write_image(data / name / "img" / f"{frame + 1:04d}.jpg", scene.render(frame))
        lines = [",".join(f"{value:.3f}" for value in box + (1, 1, 0, 0)) + "\n" for box in scene.boxes()[:_FRAMES]]
        (data / name / "groundtruth_rect.txt").write_text("".join(lines))


def _track(threads: int) -> Callable[[Path, Path], int | None]:
    def run(data: Path, out: Path) -> int | None:
        where = ["--dataset_name", str(data), "--results", str(out)]
        return track.main(["atom", "ebm", *where, "--threads", str(threads), "--density", "--device", "cpu"])

    return run


def _write_videos(data: Path) -> None:
    lines = []
    for name in SEQUENCES[:2]:
        scene = benchmark_scene(name)
        with VideoWriter(data / f"{name}.mp4", 25.0) as writer:
            for frame in range(_FRAMES):
                writer.add(scene.render(frame))
        lines.append(f"{name}.mp4," + ",".join(f"{value:.2f}" for value in scene.boxes()[0]) + "\n")
    (data / "boxes.csv").write_text("video,x,y,w,h\n" + "".join(lines))


def _video(data: Path, out: Path) -> int | None:
    files = [str(data / f"{name}.mp4") for name in SEQUENCES[:2]]
    what = ["--boxes", str(data / "boxes.csv"), "--density", "--save_video", str(out / "films"), "--export", "cvat"]
    return video.main(["atom", "ebm", *files, *what, "--no_display", "--out", str(out), "--device", "cpu"])


def _write_results(data: Path) -> None:
    """Sequences, and boxes of two trackers with densities."""
    _write_sequences(data / "sequences")
    for param, shift in (("near", 2.0), ("far", 8.0)):
        folder = ResultFolder(data / "results" / "still" / param, {"param": param, "seed": 0})
        folder.prepare()
        folder.add_record(provenance())
        for name in SEQUENCES:
            boxes = benchmark_scene(name).boxes()[:_FRAMES] + (1, 1, 0, 0)
            boxes[1:, 0] += shift
            folder.save(name, boxes, np.full(len(boxes), 0.01))


def _tables(data: Path, out: Path) -> int | None:
    where = ["--dataset_name", str(data / "sequences"), "--results", str(data / "results")]
    for command in ("all", "report"):
        analyse.main([command, *where, "--out", str(out / "analysis")])
    analyse.main(["failures", *where, "--out", str(out / "failures")])
    analyse.main(["export", *where, "--format", "got10k", "--out", str(out / "export")])
    film = ["--sequence", SEQUENCES[0], "--out", str(out / "played.mp4")]
    return analyse.main(["playback", *where, *film])


def _detect(data: Path, out: Path) -> int | None:
    """Two detectors that cost nothing, with a contact sheet."""
    files = {system: data / system / "last.pth" for system in ("direct", "ebm")}
    for module in (candidates, detection):
        module.load_detector = lambda path, device="cpu": OffsetDetector(Path(path).parent.name)  # type: ignore
    where = ["--root", str(data), "--workspace", str(out), "--device", "cpu", "--unrefined"]
    return evaluate.main(["detection", *where, "--checkpoint", *map(str, files.values())])


def _write_detectors(data: Path) -> None:
    write_coco(data, ids=range(1, 13))
    for system in ("direct", "ebm"):
        (data / system).mkdir()
        (data / system / "last.pth").write_text(system)


def _are_complete(out: Path) -> bool:
    """Whether all videos that have a record were tracked to their ends: one that was stopped keeps what it has."""
    return all(json.loads(file.read_text())["complete"] for file in out.rglob("*.json") if "partial" not in file.name)


_TRAINED = r".*_final\.safetensors|kl\.json|.*\.png|kl\..*"
WORKLOADS = {
    "training": Workload(_nothing, _train, _TRAINED),
    # the picture of a run shows a neighbour too, if there is one by then
    "trainings": Workload(_nothing, _reproduce, r".*_final\.safetensors|kl\.json", ignored=rf"{_IGNORED}|.*\.png"),
    "comparison": Workload(_nothing, _compare, r".*_final\.safetensors"),
    "evaluation": Workload(_write_sequences, _track(2), r"[a-z]+(_time)?\.txt|[a-z]+_density\.jsonl"),
    "detection": Workload(_write_detectors, _detect, r".*\.png"),
    "tables": Workload(_write_results, _tables, r".*\.(tex|pdf|png|csv|md|html|txt)"),
    "videos": Workload(_write_videos, _video, r"[a-z]+\.(xml|mp4)", _are_complete),
}


def results(folder: Path, ignored: str) -> dict[str, Any]:
    """What the files of a folder hold, by their path: all that a killed and continued command has in common with one
    that was not disturbed."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not re.fullmatch(ignored, path.name))
    return {str(file.relative_to(folder)): _readable(file) for file in files}


def _readable(file: Path) -> Any:
    try:
        return content(file)
    except Exception as error:  # a damaged file is not what it is compared with
        return error


def content(file: Path) -> Any:
    """What a file holds, without seconds, dates and what else differs from run to run."""
    if file.name.endswith("_time.txt"):
        return len(file.read_text().splitlines())
    if file.stem == "val" and file.suffix in (".txt", ".tex"):  # with images a second in each row
        return len(file.read_text().splitlines())
    if file.suffix == ".safetensors":
        about, state = read_safetensors(file)
        return about["settings"], about["epochs"], _plain(state)
    if file.suffix == ".html":  # with the date, and times of frames
        return file.read_text().rstrip().endswith("</html>")
    if file.name == "previous.pth":  # of whichever moment was saved before the last
        return None
    if file.suffix == ".pth":
        return _plain(torch.load(file, weights_only=True))
    if file.suffix == ".json":
        return _timeless(json.loads(file.read_text()))
    if file.suffix == ".jsonl":
        return [_timeless(json.loads(line)) for line in file.read_text().splitlines()]
    if file.suffix == ".mp4":
        with av.open(str(file)) as container:
            return [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]
    if file.suffix in (".txt", ".tex") and "toy_comparison" in file.parts:
        return re.sub(r" +\d+(\.\d)?(?=  \d| *&| *\\\\)", "", file.read_text())  # without the seconds
    return re.sub(rb"<(dumped|created|updated)>.*?</\1>", b"", file.read_bytes())


_OF_A_RUN = {"images_per_second", "seconds", "time", "times", "command", "runs", "run", "cores", "commit"}


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in _OF_A_RUN}
    return [_timeless(v) for v in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    """Tensors as bytes, so that values can be compared."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.detach().contiguous().numpy().tobytes()
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if k not in _OF_A_RUN}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
