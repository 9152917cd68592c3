"""What is fuzzed: a small valid file of each format, how it is damaged, and the function of this package that reads it.

A reader goes as far as a user's command does: to the weights in the network, the last frame of a video, the boxes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from ltr.common.environment import _read_settings_file
from ltr.common.images import read_image
from ltr.common.orientation import image_form
from ltr.data.disk_cache import cached_rows
from ltr.data.row_files import RowFiles
from ltr.dataset.coco_detection import read_coco_detection
from ltr.dataset.image_folder import ImageFolder
from ltr.evaluation.toy.model_file import read_toy_model
from ltr.models.bbreg import AtomNet, AtomNetConfig, load_atom_net, save_head
from ltr.models.regression.toy import ToyEnergyNet
from ltr.train_settings.registry import load_settings
from ltr.trainers.checkpoint import load_optimizer, load_weights, read_latest, save_checkpoint
from ltr.trainers.export import export_weights
from ltr.trainers.state import TrainingState
from pytracking.analysis import box_files as result_files
from pytracking.analysis.coverage import read_densities
from pytracking.analysis.tracker_results import TrackerResults
from pytracking.annotation.box_files import read_boxes as read_annotation
from pytracking.annotation.coco import write_coco
from pytracking.annotation.cvat import write_cvat
from pytracking.annotation.mot import write_mot
from pytracking.annotation.record_file import write_record
from pytracking.annotation.tracks import ObjectTrack, TrackBox, VideoTracks
from pytracking.annotation.video_record import read_record
from pytracking.evaluation.datasets import get_dataset
from pytracking.evaluation.datasets.vot import read_regions
from pytracking.evaluation.results import ResultFolder
from pytracking.utils.video_sources import open_source
from tests.fuzz.detectors import detectors
from tests.fuzz.mutate import (
    damage_bytes,
    damage_json,
    damage_json_lines,
    damage_pickle,
    damage_safetensors,
    damage_words,
)
from tests.fuzz.target import Row, Target
from tests.fuzz.training_sets import training_sets
from tests.helpers.benchmark_trees import boxes, rows_text, write_frames, write_got10k
from tests.helpers.video_files import write as write_video

KINDS = ("checkpoints", "detectors", "annotations", "training_sets", "videos", "images", "results")
_SMALL = AtomNetConfig(channels=(8, 12), hidden=(16, 20))


def make_targets(kind: str, folder: Path) -> list[Target]:
    """The targets of one of KINDS; `folder` is new, and its `input` will hold the damaged files."""
    folder = folder / "input"
    folder.mkdir(parents=True)
    makers = {
        "checkpoints": _checkpoints,
        "detectors": detectors,
        "annotations": _annotations,
        "training_sets": training_sets,
        "videos": _videos,
        "images": _images,
        "results": _results,
    }
    found = makers[kind](folder)
    return [Target(name, (folder / name).read_bytes(), (damage_bytes, *more), read) for name, more, read in found]


def _checkpoints(folder: Path) -> list[Row]:
    for name in ("head", "toy", "train", "resume", "cache"):
        (folder / name).mkdir()
    torch.manual_seed(0)
    net = AtomNet(_SMALL).eval()
    save_head(net, folder / "head" / "a.safetensors")
    content = {
        "model": dict(net.state_dict()),
        "position": {"epoch": 1, "step": 0},
        "settings": {"model": {"backbone": "efficientnet_lite0", "channels": [8, 12], "hidden": [16, 20]}},
        "versions": {"torch": "2"},
    }
    save_checkpoint(folder / "train" / "a.pth", content)
    settings = load_settings("toy", "ebm").settings()
    export_weights(folder / "toy" / "ebm_final.safetensors", ToyEnergyNet(), settings, 3)
    save_checkpoint(folder / "resume" / "last.pth", _training(2))
    rows = {"a": np.arange(12.0), "b": np.ones((12, 3), np.float32)}
    cached_rows(folder / "cache" / "rows", 12, lambda start: iter([rows]), "rows", "")
    return [
        ("head/a.safetensors", (damage_safetensors,), load_atom_net),
        ("train/a.pth", (damage_pickle,), load_atom_net),
        ("toy/ebm_final.safetensors", (damage_safetensors,), read_toy_model),
        ("resume/last.pth", (damage_pickle, damage_pickle), _resume),
        ("cache/rows/b.npy", (), lambda file: RowFiles(file.parent).check()),
        ("cache/rows/rows.json", (damage_json,), lambda file: RowFiles(file.parent).check()),
    ]


def _learner() -> tuple[nn.Module, torch.optim.Adam]:
    model = nn.Linear(3, 2)
    return model, torch.optim.Adam(model.parameters(), 0.1)


def _step(model: nn.Module, optimizer: torch.optim.Adam) -> None:
    optimizer.zero_grad()
    model(torch.ones(1, 3)).square().sum().backward()
    optimizer.step()


def _training(steps: int) -> dict:
    """What the trainer saves."""
    model, optimizer = _learner()
    for _ in range(steps):
        _step(model, optimizer)
    state = TrainingState(epoch=1, step=steps, history=[{"epoch": 1, "train": {"loss": 0.5}}], best=0.5)
    state.averages.add({"loss": 1.0})
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": {},
        **state.to_plain(),
        "settings": {"seed": 0, "optimizer": {"lr": 0.1}},
        "versions": {"torch": "2"},
    }


def _resume(file: Path) -> None:
    """As the trainer continues, and a step further."""
    path, content = read_latest(file.parent) or (file, {})
    model, optimizer = _learner()
    load_weights(model, content["model"], path)
    load_optimizer(optimizer, content["optimizer"], path)
    state = TrainingState.from_plain(content)
    _step(model, optimizer)
    state.averages.add({"loss": 1.0})
    state.averages.means()
    state.end_epoch({})


def _annotations(folder: Path) -> list[Row]:
    for name in ("otb/a", "lasot/a", "tools/gt", "coco/annotations", "images", "paths"):
        (folder / name).mkdir(parents=True)
    for root in ("otb", "lasot"):
        write_frames(folder / root / "a" / "img", range(1, 5), 8)
    write_frames(folder / "images", range(1, 5), 4)
    (folder / "otb/a/groundtruth_rect.txt").write_text(rows_text(boxes(4), "\t"))
    (folder / "otb/a/attributes.txt").write_text("IV, OCC\n")
    (folder / "lasot/a/groundtruth.txt").write_text(rows_text(boxes(4)))
    (folder / "lasot/a/full_occlusion.txt").write_text("0,0,1,0\n")
    (folder / "vot.txt").write_text("1,2,9,2,9,8,1,8\n1,2,3,4\nm2,2,4,4,1,3,2,5\n0\n")
    write_got10k(folder / "got10k", names=1)
    track = [TrackBox(frame, (5.0 + frame, 6, 16, 12), given=frame == 0, score=0.5) for frame in range(4)]
    video = VideoTracks("clip.mp4", (ObjectTrack(1, "car", track),), (64, 48), 25.0, 4, range(4))
    write_cvat(video, folder / "tools" / "a.xml")
    write_coco(video, folder / "tools" / "a.json")
    write_mot(video, folder / "tools" / "a.zip")
    (folder / "tools" / "gt" / "gt.txt").write_text("1,1,5,6,16,12,1,1,1\n2,1,6,6,16,12,1,1,1\n")
    (folder / "tools" / "a.csv").write_text("video,frame,object,x,y,w,h\nclip.mp4,0,car,5,6,16,12\n")
    instances = {
        "images": [{"id": 1, "file_name": "0001.jpg", "width": 64, "height": 48}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 6, 16, 12], "area": 192, "iscrowd": 0}],
    }
    (folder / "coco" / "annotations" / "instances_val2017.json").write_text(json.dumps(instances))
    write_frames(folder / "coco" / "val2017", [1], 4)
    line = {"set": "a", "sequence": "b", "boxes": [[5, 6, 16, 12]]}
    lines = [{"file": f"000{number}.jpg", "frame": number, **line} for number in (1, 2)]
    (folder / "images" / "index.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "paths" / "ebm_paths.toml").write_text("[paths]\notb = '/data/otb'\nresults = 'runs'\n")

    def benchmark(depth: int) -> Callable[[Path], object]:
        return lambda file: list(get_dataset(str(file.parents[depth])))

    words = (damage_words, damage_words)
    return [
        ("otb/a/groundtruth_rect.txt", words, benchmark(1)),
        ("otb/a/attributes.txt", words, benchmark(1)),
        ("lasot/a/groundtruth.txt", words, benchmark(1)),
        ("lasot/a/full_occlusion.txt", words, benchmark(1)),
        ("got10k/val/list.txt", words, lambda file: get_dataset("got10k_val", root=file.parents[1])),
        (
            "got10k/val/GOT-10k_Val_000001/cover.label",
            words,
            lambda file: get_dataset("got10k_val", root=file.parents[2]),
        ),
        (
            "got10k/val/GOT-10k_Val_000001/meta_info.ini",
            words,
            lambda file: get_dataset("got10k_val", root=file.parents[2]),
        ),
        ("vot.txt", words, read_regions),
        ("tools/a.xml", words, _all_boxes),
        ("tools/a.json", (damage_json, damage_json), _all_boxes),
        ("tools/a.zip", (), _all_boxes),
        ("tools/gt/gt.txt", words, _all_boxes),
        ("tools/a.csv", words, _all_boxes),
        (
            "coco/annotations/instances_val2017.json",
            (damage_json, damage_json),
            lambda file: read_coco_detection(file.parents[1], "val", 2017),
        ),
        ("images/index.jsonl", (damage_json_lines, damage_json_lines), lambda file: ImageFolder(file.parent)),
        ("paths/ebm_paths.toml", words, _read_settings_file),
    ]


def _all_boxes(file: Path) -> list:
    return [list(track.boxes) for video in read_annotation(file) for track in video.tracks]


def _videos(folder: Path) -> list[Row]:
    names = {"a.mp4": "libx264", "a.mkv": "libx264", "a.avi": "mjpeg", "a.webm": "libvpx"}
    for name, codec in names.items():
        write_video(folder / name, codec, "yuvj420p" if codec == "mjpeg" else "yuv420p")
    write_video(folder / "a.gif", "gif", "rgb8")
    return [(name, (), _all_frames) for name in [*names, "a.gif"]]


def _all_frames(file: Path) -> None:
    source = open_source(file)
    try:
        for frame in source:
            assert frame.image.shape[2] == 3
    finally:
        source.close()


def _images(folder: Path) -> list[Row]:
    y, x = np.mgrid[0:40, 0:60]
    picture = np.stack([x * 4, y * 6, np.full_like(x, 30)], axis=-1).astype(np.uint8)
    names = ["a.jpg", "p.jpg", "r.jpg", "a.png", "deep.png", "a.bmp", "a.webp", "a.tif", "a.ppm"]
    for name in names:
        options = {
            "p.jpg": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
            "r.jpg": [cv2.IMWRITE_JPEG_RST_INTERVAL, 2],
        }.get(name, [])
        cv2.imwrite(str(folder / name), picture.astype(np.uint16) * 256 if name == "deep.png" else picture, options)
    return [(name, (), _picture) for name in names]


def _picture(file: Path) -> None:
    image_form(file, (60, 40), "boxes")
    assert read_image(file).dtype == np.uint8
    read_image(file, reduction=4)


def _results(folder: Path) -> list[Row]:
    run = folder / "atom" / "ebm"
    result = ResultFolder(run, {"tracker": "atom", "settings": {"a": 1}, "seed": 0})
    result.prepare()
    result.add_record({"device": "cpu", "threads": 0})
    result.save("a", boxes(4), np.full(4, 0.01))
    intervals = {level: [[1, 2]] * 4 for level in ("0.5", "0.8", "0.95")}
    line = {
        "frame": 1, "box": [1, 2, 3, 4], "score": 0.5, "flag": "normal", "mean": [1, 2, 3, 4],
        "covariance": np.eye(4).tolist(), "intervals": intervals, "effective_sample_size": 9.0,
        "truth": {"box": [1, 2, 3, 4], "level": 0.5, "cdf": [0.5] * 4},
    }  # fmt: skip
    (run / "a_density.jsonl").write_text((json.dumps(line) + "\n") * 2)
    target = {"name": "1", "box": [5, 6, 16, 12], "score": 0.5, "flag": "normal", "given": False}
    frames = [json.dumps({"index": k, "time": k / 25, "objects": [target]}).encode() for k in range(3)]
    head = {"first_boxes": [[5, 6, 16, 12]], "source": "clip.mp4", "complete": True, "number_of_frames": 3}
    write_record(folder / "clip.json", {"video": "clip", "size": [64, 48], "fps": 25.0, **head}, frames)

    def again(file: Path) -> None:
        folder = ResultFolder(file.parent, {"tracker": "atom", "settings": {"a": 1}, "seed": 0})
        TrackerResults("atom/ebm", file.parent, {"a": file.parent / "a.txt"}).record()
        folder.prepare()
        folder.add_record({"device": "cpu"})

    return [
        ("atom/ebm/a.txt", (damage_words, damage_words), result_files.read_boxes),
        ("atom/ebm/a_time.txt", (damage_words, damage_words), result_files.read_times),
        ("atom/ebm/a_density.jsonl", (damage_json_lines, damage_json_lines, damage_words), read_densities),
        ("atom/ebm/run.json", (damage_json, damage_json), again),
        ("clip.json", (damage_json, damage_words), read_record),
    ]
