"""UAV123 (Müller, Smith and Ghanem, ECCV 2016): 123 sequences at 30 frames per second, and its version at 10.

::

    data_seq/UAV123/bird1/000001.jpg ...    one folder for bird1_1, bird1_2 and bird1_3
    anno/UAV123/bird1_2.txt                 x,y,w,h on a line for each of its frames, NaN where the target is absent
    anno/UAV123/att/bird1_2.txt             twelve attributes, 1 or 0

The version at 10 frames per second has UAV123_10fps in place of UAV123: every third frame, numbered anew. Sequences are
called uav_bird1_2, as PyTracking's users know them, and uav10_bird1_2, so that each has results of its own.

Pixels count from 0, as everybody takes them; the authors do not say.
"""

import os
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from ltr.common.environment import get_path
from ltr.common.errors import DatasetError
from pytracking.evaluation.datasets.base import SequenceList, TrackingSequence, read_all
from pytracking.evaluation.datasets.files import every_frame, may_exist, read_boxes, read_flags, read_images

UAV_ORIGIN = 0.0
UAV_ATTRIBUTES = ("SV", "ARC", "LR", "FM", "FOC", "POC", "OV", "BC", "IV", "VC", "CM", "SOB")
"""The attributes in the order of the files in att/."""

#: The last frame of each sequence, or `first-last`, at 30 frames per second.
UAV_FRAMES = {
    "bike1": "3085", "bike2": "553", "bike3": "433", "bird1_1": "253", "bird1_2": "775-1477", "bird1_3": "1573-2437",
    "boat1": "901", "boat2": "799", "boat3": "901", "boat4": "553", "boat5": "505", "boat6": "805", "boat7": "535",
    "boat8": "685", "boat9": "1399", "building1": "469", "building2": "577", "building3": "829", "building4": "787",
    "building5": "481", "car1_1": "751", "car1_2": "751-1627", "car1_3": "1627-2629", "car2": "1321", "car3": "1717",
    "car4": "1345", "car5": "745", "car6_1": "487", "car6_2": "487-1807", "car6_3": "1807-2953",
    "car6_4": "2953-3925", "car6_5": "3925-4861", "car7": "1033", "car8_1": "1357", "car8_2": "1357-2575",
    "car9": "1879", "car10": "1405", "car11": "337", "car12": "499", "car13": "415", "car14": "1327", "car15": "469",
    "car16_1": "415", "car16_2": "415-1993", "car17": "1057", "car18": "1207", "group1_1": "1333",
    "group1_2": "1333-2515", "group1_3": "2515-3925", "group1_4": "3925-4873", "group2_1": "907",
    "group2_2": "907-1771", "group2_3": "1771-2683", "group3_1": "1567", "group3_2": "1567-2827",
    "group3_3": "2827-4369", "group3_4": "4369-5527", "person1": "799", "person2_1": "1189", "person2_2": "1189-2623",
    "person3": "643", "person4_1": "1501", "person4_2": "1501-2743", "person5_1": "877", "person5_2": "877-2101",
    "person6": "901", "person7_1": "1249", "person7_2": "1249-2065", "person8_1": "1075", "person8_2": "1075-1525",
    "person9": "661", "person10": "1021", "person11": "721", "person12_1": "601", "person12_2": "601-1621",
    "person13": "883", "person14_1": "847", "person14_2": "847-1813", "person14_3": "1813-2923", "person15": "1339",
    "person16": "1147", "person17_1": "1501", "person17_2": "1501-2347", "person18": "1393", "person19_1": "1243",
    "person19_2": "1243-2791", "person19_3": "2791-4357", "person20": "1783", "person21": "487", "person22": "199",
    "person23": "397", "truck1": "463", "truck2": "385", "truck3": "535", "truck4_1": "577", "truck4_2": "577-1261",
    "uav1_1": "1555", "uav1_2": "1555-2377", "uav1_3": "2473-3469", "uav2": "133", "uav3": "265", "uav4": "157",
    "uav5": "139", "uav6": "109", "uav7": "373", "uav8": "301", "wakeboard1": "421", "wakeboard2": "733",
    "wakeboard3": "823", "wakeboard4": "697", "wakeboard5": "1675", "wakeboard6": "1165", "wakeboard7": "199",
    "wakeboard8": "1543", "wakeboard9": "355", "wakeboard10": "469", "car1_s": "1475", "car2_s": "320",
    "car3_s": "1300", "car4_s": "830", "person1_s": "1600", "person2_s": "250", "person3_s": "505",
}  # fmt: skip


def read_uav(root: str | os.PathLike | None) -> SequenceList:
    """The sequences of UAV123 at 30 frames per second under ``root``."""
    return _read("UAV123", "uav", "uav_", get_path("uav", root), every=1)


def read_uav123_10fps(root: str | os.PathLike | None) -> SequenceList:
    """The sequences of UAV123 at 10 frames per second under ``root``."""
    return _read("UAV123_10fps", "uav123_10fps", "uav10_", get_path("uav123_10fps", root), every=3)


def uav_frames(name: str, every: int = 1) -> tuple[int, int]:
    """First and last frame of a sequence, counted from 1, in the version that holds one frame of `every`."""
    first, _, last = UAV_FRAMES[name].rpartition("-")
    return (int(first or 1) - 1) // every + 1, (int(last) - 1) // every + 1


def _read(title: str, dataset: str, prefix: str, root: Path, every: int) -> SequenceList:
    images = cache(lambda folder: read_images(folder, folder.name))  # sequences share folders of thousands of images
    annotations, frames = root / "anno" / title, root / "data_seq" / title
    sequences: dict[str, Callable[[], TrackingSequence]] = {}
    for name in UAV_FRAMES:
        folder = frames / re.sub(r"_\d+$", "", name)
        if may_exist(folder):
            file, frames_of = annotations / f"{name}.txt", partial(images, folder)
            sequences[prefix + name] = partial(
                _read_sequence, prefix + name, file, frames_of, uav_frames(name, every), dataset
            )
    looked_for = f"expected data_seq/{title}/bike1/000001.jpg, ... and anno/{title}/bike1.txt, ..."
    return read_all(title, root, sequences, expected=len(UAV_FRAMES), looked_for=looked_for)


def _read_sequence(
    name: str, annotation: Path, images: Callable[[], dict[int, Path]], frames: tuple[int, int], dataset: str
) -> TrackingSequence:
    boxes, (first, last) = read_boxes(annotation), frames
    if len(boxes) != last - first + 1:
        raise DatasetError(
            f"sequence {name}: {annotation} has {len(boxes)} lines, but the benchmark has frames {first} to {last} of "
            "it; copy the file again"
        )
    files = every_frame(images(), first, len(boxes), name)
    flags = read_flags(annotation.parent / "att" / annotation.name, len(UAV_ATTRIBUTES))
    attributes = () if flags is None else tuple(a for a, flag in zip(UAV_ATTRIBUTES, flags, strict=True) if flag)
    return TrackingSequence(name, files, boxes, dataset, UAV_ORIGIN, attributes, scoring="uav")
