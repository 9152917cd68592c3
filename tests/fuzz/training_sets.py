"""Training sets: annotations of videos, of faces and of COCO, as their authors publish them."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from ltr.common.images import write_image
from ltr.dataset import (
    COCO,
    GOT10k,
    LaSOT,
    TrackingNet,
    read_aflw2000,
    read_biwi,
    read_fsanet,
    read_pointing04,
    read_pointing04_crops,
    read_utkface,
)
from tests.fuzz.mutate import damage_json, damage_words
from tests.fuzz.target import Row

_CALIBRATION = "500 0 320 \n0 500 240 \n0 0 1 \n\n0 0 0 0 \n\n1 0 0 \n0 1 0 \n0 0 1 \n\n-20 10 0 \n\n640 480\n"
_POSE = "1 0 0 \n0 0.8 -0.6 \n0 0.6 0.8 \n\n120 -160 1000"
_WORDS = (damage_words, damage_words)


def training_sets(folder: Path) -> list[Row]:
    """Writes the files, and returns the rows of their targets."""
    return [*_videos(folder), *_faces(folder), *_coco(folder)]


def _frames(folder: Path, names: list[str], size: tuple[int, int] = (24, 32)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names):
        write_image(folder / name, np.full((*size, 3), 10 * k, np.uint8))


def _whole(make: Callable[[Path], Any], depth: int) -> Callable[[Path], object]:
    """Reads a data set to its last sequence; its root lies `depth` folders above the file's."""

    def read(file: Path) -> object:
        data = make(file.parents[depth])
        found = [data.sequence(k) for k in range(len(data))]
        return [data.frames(k, [0]) for k in range(len(found))]

    return read


def _labelled(make: Callable[[Path], Any], depth: int) -> Callable[[Path], object]:
    """Reads labels, and the first picture."""
    return lambda file: make(file.parents[depth] if depth >= 0 else file).image(0)


def _videos(folder: Path) -> list[Row]:
    got10k = folder / "got10k" / "train" / "GOT-10k_Train_000001"
    _frames(got10k, [f"{k:08d}.jpg" for k in (1, 2, 3)])
    (got10k / "groundtruth.txt").write_text("3.0,4.0,9.0,8.0\n" * 3)
    (got10k / "absence.label").write_text("0\n1\n0\n")
    (got10k / "cover.label").write_text("8\n7\n0\n")
    (got10k / "cut_by_image.label").write_text("0\n0\n0\n")
    (got10k / "meta_info.ini").write_text("[METAINFO]\nurl: none\n")
    (got10k.parent / "list.txt").write_text(f"{got10k.name}\n")
    lasot = folder / "lasot_train" / "zebra" / "zebra-1"
    _frames(lasot / "img", [f"{k:08d}.jpg" for k in (1, 2, 3)])
    (lasot / "groundtruth.txt").write_text("1,2,10,11\n2,3,12,13\n0,0,0,0\n")
    (lasot / "full_occlusion.txt").write_text("0,1,0")
    (lasot / "out_of_view.txt").write_text("0,0,1\n")
    (folder / "lasot_train" / "training_set.txt").write_text("zebra-1\n")
    net = folder / "trackingnet" / "TRAIN_0"
    _frames(net / "frames" / "a_0", [f"{k}.jpg" for k in range(3)])
    (net / "anno").mkdir()
    (net / "anno" / "a_0.txt").write_text("3.5,4,10,11\n" * 2 + "3.5,4,0,11\n")
    sequence, read_lasot = f"got10k/train/{got10k.name}", _whole(LaSOT, 2)
    read_got10k = _whole(lambda root: GOT10k(root, split=None), 2)
    return [
        (f"{sequence}/groundtruth.txt", _WORDS, read_got10k),
        (f"{sequence}/absence.label", _WORDS, read_got10k),
        (f"{sequence}/cover.label", _WORDS, read_got10k),
        ("got10k/train/list.txt", _WORDS, _whole(lambda root: GOT10k(root, split=None), 1)),
        ("lasot_train/zebra/zebra-1/groundtruth.txt", _WORDS, read_lasot),
        ("lasot_train/zebra/zebra-1/out_of_view.txt", _WORDS, read_lasot),
        ("lasot_train/training_set.txt", _WORDS, _whole(LaSOT, 0)),
        ("trackingnet/TRAIN_0/anno/a_0.txt", _WORDS, _whole(lambda root: TrackingNet(root, [0]), 2)),
    ]


def _faces(folder: Path) -> list[Row]:
    _frames(folder / "utkface" / "images", ["30_0_1_20170111.jpg", "41_0_1_20170112.jpg"], (32, 32))
    table = ",file,age\n0,30_0_1_20170111.jpg,9\n1,41_0_1_20170112.jpg,20\n"
    for part in ("train", "test"):
        (folder / "utkface" / f"utk_{part}.csv").write_text(table)
    biwi = folder / "biwi"
    _frames(biwi / "hpdb" / "01", ["frame_00003_rgb.png", "frame_00004_rgb.png"], (480, 640))
    (biwi / "hpdb" / "01" / "rgb.cal").write_text(_CALIBRATION)
    (biwi / "hpdb" / "01" / "frame_00003_pose.txt").write_text(_POSE)
    (biwi / "db_annotations" / "01").mkdir(parents=True)
    pose = struct.pack("<6f", 120, -160, 1000, 0, -40, 0)
    (biwi / "db_annotations" / "01" / "frame_00004_pose.bin").write_bytes(pose)
    heads = np.random.default_rng(0).uniform(-40, 40, (3, 3))
    np.savez(folder / "BIWI_train.npz", image=np.zeros((3, 64, 64, 3), np.uint8), pose=heads, img_size=64)
    for person, name in (("01", "person01144+0-30"), ("02", "person02200-90+0")):
        _frames(folder / "pointing" / f"Person{person}", [f"{name}.jpg"], (288, 384))
        text = "person01144+0-30.jpg\n\nFace\n200\n120\n50\n40\n"
        (folder / "pointing" / f"Person{person}" / f"{name}.txt").write_text(text)
    _frames(folder / "crops" / "crops", ["a.jpg", "b.jpg"])
    rows = "file,person,series,tilt,pan\na.jpg,3,1,-90,0\nb.jpg,12,2,15,-75\n"
    (folder / "crops" / "crops.csv").write_text(rows)
    _frames(folder / "aflw", ["image00002.jpg"])
    points = np.zeros((3, 68))
    points[0], points[1] = np.linspace(8, 18, 68), np.linspace(10, 18, 68)
    savemat(folder / "aflw" / "image00002.mat", {"Pose_Para": np.full((1, 7), 0.1), "pt3d_68": points})
    return [
        ("utkface/utk_train.csv", _WORDS, _labelled(read_utkface, 0)),
        ("biwi/hpdb/01/rgb.cal", _WORDS, _labelled(read_biwi, 2)),
        ("biwi/hpdb/01/frame_00003_pose.txt", _WORDS, _labelled(read_biwi, 2)),
        ("biwi/db_annotations/01/frame_00004_pose.bin", (), _labelled(read_biwi, 2)),
        ("BIWI_train.npz", (), _labelled(read_fsanet, -1)),
        ("pointing/Person01/person01144+0-30.txt", _WORDS, _labelled(read_pointing04, 1)),
        ("crops/crops.csv", _WORDS, _labelled(read_pointing04_crops, 0)),
        ("aflw/image00002.mat", (), _labelled(read_aflw2000, 0)),
    ]


def _coco(folder: Path) -> list[Row]:
    _frames(folder / "coco_train" / "train2017", ["0001.jpg"], (48, 64))
    (folder / "coco_train" / "annotations").mkdir()
    instances = {
        "images": [{"id": 1, "file_name": "0001.jpg", "width": 64, "height": 48}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 6, 16, 12], "area": 192, "iscrowd": 0}],
    }
    name = "coco_train/annotations/instances_train2017.json"
    (folder / name).write_text(json.dumps(instances))
    return [(name, (damage_json, damage_json), _whole(lambda root: COCO(root, "train", 2017), 1))]
