"""The generated tracking benchmark, in memory and on disk: ten sequences, each hard in one way, easy in the others."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ltr.common.errors import UserError
from ltr.common.files import write_json
from ltr.dataset.generated.composition import build_scene
from ltr.dataset.generated.cutouts import Cutout
from ltr.dataset.generated.folders import new_folder, read_json, remove_leftovers
from ltr.dataset.generated.recipes import IMAGE_SIZE, Recipe
from ltr.dataset.generated.scene import SyntheticScene

BENCHMARK_VERSION = 1
"""Raise it whenever the benchmark's pixels or boxes change; an older benchmark on disk is then replaced."""

BENCHMARK_LENGTH = 60
JPEG_QUALITY = 95
MANIFEST = "generated.json"

_STREAM = 1  # of random numbers; the training set has 2, detection images 3

# The objects' positions were chosen by eye.
_COFFEE = Cutout("coffee", 288, 112, 115, 94)
_SAUCER = Cutout("coffee", 278, 212, 196, 172)
_CAT = Cutout("chelsea", 235, 165, 140, 128, wobble=0.06)
_BADGE = Cutout("astronaut", 171, 386, 37, 38)
_WHEEL = Cutout("motorcycle", 199, 320, 76, 78)
_ENGINE = Cutout("motorcycle", 400, 300, 62, 62, power=4.0, wobble=0.05)
_COIN = Cutout("coins", 348, 188, 32, 32)
_COINS = (Cutout("coins", 171, 260, 27, 25), Cutout("coins", 269, 121, 24, 26))
_PAVING = Cutout("brick", 256, 256, 120, 160, power=8.0)
_POST = Cutout("coffee", 545, 110, 30, 100, power=8.0)

_BENCHMARK: dict[str, Recipe] = {
    "scale": Recipe("motorcycle", _CAT, extent=62, scale=0.75, scale_period=55, dolly=0.1),
    "aspect": Recipe("brick", _SAUCER, extent=70, aspect=1.0, aspect_period=45, tint=(1.08, 0.98, 0.9)),
    "rotation": Recipe("gravel", _COFFEE, extent=64, turn=7.0, sway=25, aspect=0.35, tint=(1.05, 1.0, 0.9)),
    "occlusion": Recipe("astronaut", _CAT, extent=54, roam=0.4, passers=(_POST, _PAVING), passer_extent=1.3),
    "blur": Recipe("motorcycle", _SAUCER, enlarge=1.9, look=(0.7, -0.7), pan=0.3, defocus=3.0, shake=5, shutter=0.8),
    "fast_motion": Recipe("coffee", _ENGINE, extent=46, enlarge=1.05, roam=1.0, roam_period=26, shutter=0.35),
    "illumination": Recipe("coffee", _WHEEL, extent=62, enlarge=1.2, exposure=1.0, shadow=0.6),
    "low_resolution": Recipe("motorcycle", _BADGE, extent=17, enlarge=1.05, defocus=0.8, noise=4),
    "clutter": Recipe("coins", _COIN, extent=44, enlarge=1.25, grey=True, sway=15),
    "distractor": Recipe("brick", _COIN, extent=46, enlarge=1.7, distractors=_COINS, grey=True),
}
BENCHMARK_SEQUENCES = tuple(_BENCHMARK)


def benchmark_scene(name: str, seed: int = 0) -> SyntheticScene:
    """The scene of a benchmark sequence; `name` is one of BENCHMARK_SEQUENCES."""
    random = np.random.RandomState([_STREAM, seed, BENCHMARK_SEQUENCES.index(name)])
    return build_scene(_BENCHMARK[name], random, IMAGE_SIZE, BENCHMARK_LENGTH)


def write_benchmark(folder: str | Path, seed: int = 0) -> Path:
    """Write the benchmark in OTB's layout: {folder}/{name}/img/0001.jpg ... and groundtruth_rect.txt, 1-based.

    A sequence appears under its name only when it is complete, and the manifest appears last. Sequences that an earlier
    call with the same version and seed finished are kept; sequences of another version or seed are replaced.

    Args:
        folder: created if it does not exist.
        seed: another seed gives other paths, outlines and noise; the objects and photographs stay the same.

    Returns:
        `folder` as a Path.

    Raises:
        UserError: if the folder cannot be written, or holds something else under the name of a sequence.
    """
    folder = Path(folder)
    wanted = {"version": BENCHMARK_VERSION, "seed": seed, "frames": BENCHMARK_LENGTH}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        missing = [name for name in BENCHMARK_SEQUENCES if not _is_complete(folder / name, wanted)]
        manifest = {**wanted, "sequences": list(BENCHMARK_SEQUENCES)}
        if not missing and read_json(folder / MANIFEST) == manifest:
            return folder
        remove_leftovers(folder)
        (folder / MANIFEST).unlink(missing_ok=True)
        for name in tqdm(missing, desc="generating sequences", unit="sequence", disable=None):
            _write_sequence(folder / name, benchmark_scene(name, seed), wanted)
        write_json(folder / MANIFEST, manifest)
    except OSError as error:
        raise UserError(
            f"the generated benchmark cannot be written to {folder}: {error}; choose another folder"
        ) from error
    return folder


def _write_sequence(folder: Path, scene: SyntheticScene, wanted: dict) -> None:
    if folder.exists() and not _is_ours(folder):
        raise UserError(f"{folder} is there already and is not of the generated benchmark; choose another folder")
    with new_folder(folder, lambda: _is_complete(folder, wanted)) as partial:
        (partial / "img").mkdir()
        for frame in range(scene.length):
            _, data = cv2.imencode(".jpg", scene.render(frame)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            (partial / "img" / f"{frame + 1:04d}.jpg").write_bytes(data.tobytes())
        boxes = scene.boxes() + (1, 1, 0, 0)
        lines = [",".join(f"{value:.3f}" for value in box) + "\n" for box in boxes]
        (partial / "groundtruth_rect.txt").write_text("".join(lines))
        (partial / MANIFEST).write_text(json.dumps(wanted) + "\n")


def _is_complete(folder: Path, wanted: dict) -> bool:
    """Whether a sequence on disk has the version and seed of `wanted`, and none of its files is missing or empty."""
    if read_json(folder / MANIFEST) != wanted:
        return False
    files = [folder / "img" / f"{number:04d}.jpg" for number in range(1, wanted["frames"] + 1)]
    files.append(folder / "groundtruth_rect.txt")
    return all(file.is_file() and file.stat().st_size > 0 for file in files)


def _is_ours(folder: Path) -> bool:
    return isinstance(read_json(folder / MANIFEST), dict)
