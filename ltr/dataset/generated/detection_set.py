"""The set of generated detection images, on disk in COCO's layout.

    python -m ltr.dataset.generated.detection_set FOLDER

writes a set on which small detectors can be trained and compared on a CPU.
:mod:`ltr.dataset.generated.detection_scenes` says what its images show.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
from tqdm import tqdm

from ltr.common.errors import UserError, cli_main
from ltr.dataset.base import hash_split
from ltr.dataset.generated.detection_scenes import BACKGROUNDS, CATEGORIES, SPLITS, draw_scene
from ltr.dataset.generated.folders import new_folder, read_json, remove_leftovers
from ltr.dataset.generated.photographs import find_photographs

VERSION = 1
"""Raise it whenever pixels or boxes change; an older set on disk is then replaced."""

MANIFEST = "generated_detection.json"
JPEG_QUALITY = 92

_FIRST_ID = {"train": 1, "val": 500001}


def generated_detection(workspace: str | Path) -> Path:
    """The folder of the set of 800 training and 200 validation images in a workspace; writes the set if it is missing.

    Raises:
        UserError: if the set cannot be written, or its folder holds something else.
    """
    folder = Path(workspace) / "generated_detection"
    write_generated_detection(folder)
    return folder


def write_generated_detection(
    root: str | Path, train: int = 800, val: int = 200, seed: int = 0, photos: str | Path | None = None
) -> None:
    """Writes a set in COCO's layout of 2017; :func:`ltr.dataset.read_coco_detection` reads it.

    The set appears under its name only when it is complete. An existing set of the same version and arguments is kept,
    a set of others is replaced.

    Args:
        root: folder of the set; missing parents are created.
        train, val: numbers of images. The images of a smaller set are the first of a larger one.
        seed: another seed gives other images.
        photos: a folder of photographs for the backgrounds, a tenth of them for validation; the packaged ones if None.

    Raises:
        UserError: if the folder cannot be written or holds something else, or there are too few photographs.
        ValueError: if a number of images is out of range.
    """
    root = Path(root).absolute()
    counts = {"train": train, "val": val}
    if not all(0 < count <= 500000 for count in counts.values()):
        raise ValueError(f"a set cannot have {train} training and {val} validation images")
    backgrounds = BACKGROUNDS if photos is None else _split_photographs(Path(photos).absolute())
    wanted = {"version": VERSION, "seed": seed, **counts, "photos": photos and str(Path(photos).absolute())}
    if _is_complete(root, wanted):
        return
    prefix = f".partial-{root.name}-"
    try:
        if root.exists() and not isinstance(read_json(root / MANIFEST), dict) and any(root.iterdir()):
            raise UserError(f"{root} is there already and is no generated detection set; choose another folder")
        root.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(root.parent, prefix)
        with (
            new_folder(root, lambda: _is_complete(root, wanted), prefix) as partial,
            tqdm(total=train + val, desc="generating images", unit="image", disable=None) as bar,
        ):
            (partial / "annotations").mkdir()
            for split, count in counts.items():
                _write_split(partial, split, count, seed, backgrounds[split], bar)
            (partial / MANIFEST).write_text(json.dumps(wanted) + "\n")
    except OSError as error:
        raise UserError(
            f"the generated detection set cannot be written to {root}: {error}; choose another folder"
        ) from error


def _write_split(folder: Path, split: str, count: int, seed: int, photos: Sequence[str | Path], bar: tqdm) -> None:
    (folder / f"{split}2017").mkdir()
    images, annotations = [], []
    for index in range(count):
        number = _FIRST_ID[split] + index
        scene = draw_scene(split, index, seed, photos)
        name, image = f"{number:012d}.jpg", scene.image()
        _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        (folder / f"{split}2017" / name).write_bytes(data.tobytes())
        images.append({"id": number, "file_name": name, "width": image.shape[1], "height": image.shape[0]})
        for k, (box, (_, label)) in enumerate(zip(scene.boxes(), scene.objects, strict=True)):
            low, high = box[:2].round(2), (box[:2] + box[2:]).round(2)
            x, y, w, h = (round(float(value), 2) for value in (*low, *(high - low)))
            annotations.append(
                {
                    "id": 10 * number + k,
                    "image_id": number,
                    "category_id": label,
                    "bbox": [x, y, w, h],
                    "area": round(w * h, 2),
                    "iscrowd": 0,
                    "segmentation": [],
                }
            )
        bar.update()
    categories = [
        {"id": label, "name": category.name, "supercategory": "generated"}
        for label, category in enumerate(CATEGORIES, start=1)
    ]
    info = {"description": "Generated images for detection", "version": str(VERSION), "year": 2017}
    content = {"info": info, "images": images, "categories": categories, "annotations": annotations}
    (folder / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))


def _split_photographs(folder: Path) -> dict[str, tuple[Path, ...]]:
    files = {file.relative_to(folder).as_posix(): file for file in find_photographs(folder)}
    if len(files) < 2:
        raise UserError(f"{folder} holds one photograph; training and validation need at least one each")
    return {split: tuple(files[name] for name in sorted(hash_split(files, split))) for split in SPLITS}


def _is_complete(root: Path, wanted: dict) -> bool:
    """Whether a set on disk has the version and arguments of `wanted`, and none of its files is missing."""
    if read_json(root / MANIFEST) != wanted:
        return False
    try:
        counts = [len(os.listdir(root / f"{split}2017")) for split in SPLITS]
    except OSError:
        return False
    files = [root / "annotations" / f"instances_{split}2017.json" for split in SPLITS]
    return counts == [wanted[split] for split in SPLITS] and all(file.is_file() for file in files)


@cli_main
def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m ltr.dataset.generated.detection_set",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="folder of the set")
    parser.add_argument("--train", type=int, default=800, help="training images (800)")
    parser.add_argument("--val", type=int, default=200, help="validation images (200)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other images (0)")
    parser.add_argument("--photos", type=Path, help="folder of photographs for backgrounds; default: packaged ones")
    o = parser.parse_args(argv)
    try:
        write_generated_detection(o.folder, o.train, o.val, o.seed, o.photos)
    except ValueError as error:
        raise UserError(str(error)) from error


if __name__ == "__main__":
    main()
