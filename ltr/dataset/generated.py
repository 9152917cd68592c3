"""Generated tracking sequences: pieces of photographs moving over photographs, with exact ground truth.

They serve as a small benchmark that needs no download (:func:`write_benchmark`) and as a training set
(:class:`Generated`). Both are deterministic: a seed and a sequence's number or name fix every pixel. The two
never share a random stream, nor, as long as training uses its default photographs or the user's, a photograph.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ltr.common.errors import UserError
from ltr.common.images import shrink
from ltr.dataset.base import SequenceInfo, VideoDataset, video_info
from ltr.dataset.photographs import TRAINING_PHOTOGRAPHS, find_photographs, load_photograph
from ltr.dataset.scenes import Deformation, Light, Ripple, Scene, Sprite, Texture, Wave

BENCHMARK_VERSION = 1
"""To be raised whenever the benchmark's pixels or boxes change, so that an older one on disk is written anew."""

IMAGE_SIZE = (320, 240)
BENCHMARK_LENGTH = 60
JPEG_QUALITY = 95
MANIFEST = "generated.json"

_BENCHMARK_STREAM, _TRAINING_STREAM = 1, 2
_VERTICES = 160
_CACHED_SCENES = 8
_PARTIAL = ".partial-"
_STALE = 3600.0  # seconds after which a half-written sequence is taken for abandoned


@dataclass(frozen=True)
class Cutout:
    """Where an object is cut from a photograph: around (x, y), `rx` and `ry` pixels to each side.

    Attributes:
        photo: name of a packaged photograph, or an image file.
        power: exponent of the superellipse |u|^p + |v|^p = 1 that is its outline: 2 an ellipse, large ones a rectangle.
        wobble: how much the outline's radius departs from that, as a share of it.
        flex: how far parts of the object move against each other, as a share of half its size; 0 for a rigid one.
        flex_period: in frames.
    """

    photo: str | Path
    x: float
    y: float
    rx: float
    ry: float
    power: float = 2.0
    wobble: float = 0.0
    flex: float = 0.0
    flex_period: float = 30.0


@dataclass(frozen=True)
class Recipe:
    """What a sequence shows and how much of everything happens in it. Lengths in pixels of the image, times in frames.

    Attributes:
        background: name of a packaged photograph, or an image file.
        target: the tracked object.
        extent: geometric mean of the target's width and height at scale 1.
        enlarge: magnification of the background, where 1 just fills the image.
        look: where the camera looks on average: (-1, -1) is the photograph's upper left, (1, 1) its lower right.
        pan, pan_period: how far the camera looks around, as a share of what the photograph allows.
        dolly: amplitude of the logarithm of the background's magnification.
        roam, roam_period: how far the target moves, as a share of the free room; above 1 it leaves the image at times.
        scale, scale_period: amplitude of the logarithm of the target's scale.
        aspect, aspect_period: amplitude of the logarithm of its foreshortening.
        sway, sway_period: amplitude of its rotation in degrees.
        turn: its steady rotation in degrees a frame.
        shake: amplitude of the hand-held camera's shake.
        distractors: objects that move behind the target.
        closeness: 0 where the distractors go ways of their own; otherwise they go along with the target and stray from
            it by at most so many of its extents to each side, so that they are next to it or partly behind it.
        passers: objects that pass in front of it; the n-th of N is over it after n / (N + 1) of the sequence.
        passer_extent: their size relative to the target's.
        standing: objects that stand in front of its way, so that it is partly behind each at some time.
        standing_extent: their size relative to the target's.
        defocus: greatest standard deviation of the lens's blur; it is never under 0.5.
        shutter, exposure, shadow, tint, noise, grey: as in Scene and Light; `exposure` is an amplitude in stops.
    """

    background: str | Path
    target: Cutout
    extent: float = 60.0
    enlarge: float = 1.4
    look: tuple[float, float] = (0.0, 0.0)
    pan: float = 0.5
    pan_period: float = 150.0
    dolly: float = 0.0
    roam: float = 0.7
    roam_period: float = 90.0
    scale: float = 0.12
    scale_period: float = 80.0
    aspect: float = 0.08
    aspect_period: float = 60.0
    sway: float = 6.0
    sway_period: float = 60.0
    turn: float = 0.0
    shake: float = 0.6
    distractors: tuple[Cutout, ...] = ()
    closeness: float = 0.0
    passers: tuple[Cutout, ...] = ()
    passer_extent: float = 1.2
    standing: tuple[Cutout, ...] = ()
    standing_extent: float = 1.0
    defocus: float = 0.0
    shutter: float = 0.3
    exposure: float = 0.0
    shadow: float = 0.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    noise: float = 2.0
    grey: bool = False


# Places of the objects were chosen by eye. Each sequence is hard in one way and easy in the others.
_COFFEE = Cutout("coffee", 288, 112, 115, 94)
_SAUCER = Cutout("coffee", 278, 212, 196, 172)
_CAT = Cutout("chelsea", 235, 165, 140, 128, wobble=0.06)
_PORTRAIT = Cutout("astronaut", 226, 100, 72, 88, power=2.3)
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


def benchmark_scene(name: str, seed: int = 0) -> Scene:
    """A sequence of the benchmark by its name, one of BENCHMARK_SEQUENCES."""
    random = np.random.RandomState([_BENCHMARK_STREAM, seed, BENCHMARK_SEQUENCES.index(name)])
    return build_scene(_BENCHMARK[name], random, IMAGE_SIZE, BENCHMARK_LENGTH)


def build_scene(recipe: Recipe, random: np.random.RandomState, size: tuple[int, int], length: int) -> Scene:
    """Draw what a recipe leaves open: outlines, paths and phases.

    Args:
        random: RandomState and not Generator, because NumPy promises its stream never to change.
        size: width and height of the images.
        length: number of frames.
    """
    diagonal = float(np.hypot(*size))
    background = photo_texture(recipe.background)
    fill = max(size[0] / background.size[0], size[1] / background.size[1])
    room = (recipe.shake, recipe.shake, size[0] - recipe.shake, size[1] - recipe.shake)

    def sprite(cutout: Cutout, extent: float) -> Sprite:
        outline, texture_matrix = cut(cutout, extent, random)
        return Sprite(
            outline,
            photo_texture(cutout.photo),
            texture_matrix,
            x=Wave.draw(random, recipe.roam, recipe.roam_period),
            y=Wave.draw(random, recipe.roam, recipe.roam_period * 1.2),
            room=room,
            angle=Wave.draw(random, recipe.sway, recipe.sway_period, slope=recipe.turn),
            log_scale=Wave.draw(random, recipe.scale, recipe.scale_period),
            log_aspect=Wave.draw(random, recipe.aspect, recipe.aspect_period),
            tilt=random.uniform(0, 180),
            # nothing is drawn for a rigid object: the benchmark's scenes depend on the order of the draws
            deformation=draw_deformation(random, cutout, extent) if cutout.flex else None,
        )

    target = sprite(recipe.target, recipe.extent)
    behind = [sprite(cutout, recipe.extent * random.uniform(0.85, 1.15)) for cutout in recipe.distractors]
    if recipe.closeness:
        stray = recipe.closeness * recipe.extent
        behind = [
            replace(
                distractor,
                # in units of half the room that a target of this extent leaves
                x=target.x + Wave.draw(random, 2 * stray / max(size[0] - recipe.extent, 1), recipe.roam_period),
                y=target.y + Wave.draw(random, 2 * stray / max(size[1] - recipe.extent, 1), recipe.roam_period),
            )
            for distractor in behind
        ]
    in_front = []
    for number, cutout in enumerate(recipe.passers, start=1):
        passer = sprite(cutout, recipe.extent * recipe.passer_extent)
        meeting = length * number / (len(recipe.passers) + 1)
        place = target.pose(meeting)[:, 2]
        direction = np.deg2rad(random.uniform(-25, 25)) + np.pi * random.randint(2)
        # across the image in about two thirds of the sequence
        velocity = diagonal / (0.65 * length) * np.array([np.cos(direction), np.sin(direction)])
        start = place - meeting * velocity
        x, y = Wave(start[0], velocity[0]), Wave(start[1], velocity[1])
        in_front.append(replace(passer, x=x, y=y, room=None))
    for cutout in recipe.standing:
        extent = recipe.extent * recipe.standing_extent
        stander = sprite(cutout, extent)
        # to one side of the target, so that it does not hide all of it
        direction = random.uniform(0, 2 * np.pi)
        distance = random.uniform(0.5, 0.9) * (recipe.extent + extent) / 2
        place = target.pose(length * random.uniform(0.1, 0.9))[:, 2]
        place = place + distance * np.array([np.cos(direction), np.sin(direction)])
        in_front.append(
            replace(
                stander,
                x=Wave.draw(random, 0.05 * extent, 60, offset=place[0]),
                y=Wave.draw(random, 0.05 * extent, 60, offset=place[1]),
                room=None,
                angle=Wave.draw(random, 3, 60, offset=random.uniform(-20, 20)),
                log_scale=Wave(),
                log_aspect=Wave(),
            )
        )

    sharpest = 0.5
    blur = max(recipe.defocus - sharpest, 0) / 2
    return Scene(
        size=size,
        length=length,
        background=background,
        zoom=Wave.draw(random, recipe.dolly, 100, offset=float(np.log(fill * recipe.enlarge)) + recipe.dolly),
        pan_x=Wave.draw(random, recipe.pan, recipe.pan_period, offset=recipe.look[0]),
        pan_y=Wave.draw(random, recipe.pan, recipe.pan_period, offset=recipe.look[1]),
        sprites=(*behind, target, *in_front),
        target=len(behind),
        shake_x=Wave.draw(random, recipe.shake, 11),
        shake_y=Wave.draw(random, recipe.shake, 9),
        shutter=recipe.shutter,
        defocus=Wave.draw(random, blur, 45, offset=sharpest + blur),
        light=Light(
            exposure=Wave.draw(random, recipe.exposure, 50),
            tint=recipe.tint,
            shadow_depth=recipe.shadow,
            shadow_angle=random.uniform(0, 360),
            shadow_place=Wave.draw(random, 0.7, 60),
        ),
        noise=recipe.noise,
        grey=recipe.grey,
        noise_seed=random.randint(2**31 - 1),
    )


def draw_deformation(random: np.random.RandomState, cutout: Cutout, extent: float) -> Deformation:
    """A way for an object to bend: in any direction, at several places, back and forth about a lasting bend.

    Args:
        cutout: the object, with `flex` and `flex_period`.
        extent: geometric mean of its width and height, in pixels at scale 1.
    """

    def ripple(share: float, low: float, high: float) -> Ripple:
        """One of a frequency between two; `share` is of the object's flex."""
        amplitude, period = share * cutout.flex, cutout.flex_period * random.uniform(0.85, 1.15)
        phase = random.uniform(0, 2)
        if random.uniform() < 0.3:  # a travelling wave: a phase of 2 is a whole turn
            return Ripple(random.uniform(low, high), Wave(amplitude), phase, random.choice([-2, 2]) / period)
        lasting = random.uniform(0, 0.4) * amplitude
        swing = Wave(lasting, 0, (amplitude - lasting,), (period,), (random.uniform(0, 1),))
        return Ripple(random.uniform(low, high), swing, phase)

    return Deformation(
        radius=extent / 2,
        axis=random.uniform(0, 360),
        bend=(ripple(0.65, 0.25, 0.7), ripple(0.35, 0.7, 1.3)),
        swell=(ripple(0.6, 0.3, 0.9),),
        stretch=(ripple(0.4, 0.3, 0.9),),
    )


@lru_cache(maxsize=32)
def photo_texture(photo: str | Path) -> Texture:
    """A photograph, by its name or file, for warping; the last few are kept."""
    return Texture(load_photograph(photo))


def cut(cutout: Cutout, extent: float, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """An object's outline, (V, 2) in pixels at scale 1, and the (2, 3) map from there to its photograph."""
    scale = extent / (2 * np.sqrt(cutout.rx * cutout.ry))
    outline = superellipse(cutout.power, cutout.wobble, random) * (cutout.rx * scale, cutout.ry * scale)
    return outline, np.array([[1 / scale, 0, cutout.x], [0, 1 / scale, cutout.y]])


def superellipse(power: float, wobble: float, random: np.random.RandomState) -> np.ndarray:
    """The outline |u|^p + |v|^p = 1, (V, 2), with a radius that departs from it by a share `wobble` or so."""
    angle = np.linspace(0, 2 * np.pi, _VERTICES, endpoint=False)
    direction = np.stack([np.cos(angle), np.sin(angle)], 1)
    radius = (np.abs(direction) ** power).sum(1) ** (-1 / power)
    for order in (2, 3, 4, 5):
        share = wobble / order * random.uniform(0.5, 1.5)
        radius = radius * (1 + share * np.cos(order * angle + random.uniform(0, 2 * np.pi)))
    return radius[:, None] * direction


# -- the benchmark on disk ---------------------------------------------------------------------------------------


def write_benchmark(folder: str | Path, seed: int = 0) -> Path:
    """Write the benchmark in OTB's layout: {folder}/{name}/img/0001.jpg ... and groundtruth_rect.txt, 1-based.

    A sequence appears under its name only when it is complete, and the manifest last of all. Whatever an earlier call
    with the same version and seed has finished is kept; sequences of another version or seed are replaced.

    Args:
        folder: made where it does not exist.
        seed: another seed gives other paths, outlines and noise; the objects and photographs stay.

    Returns:
        `folder` as a Path.

    Raises:
        UserError: the folder cannot be written, or holds something else under the name of a sequence.
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
        partial = folder / f".{MANIFEST}.{os.getpid()}"
        partial.write_text(json.dumps(manifest, indent=1) + "\n")
        os.replace(partial, folder / MANIFEST)
    except OSError as error:
        raise UserError(
            f"the generated benchmark cannot be written to {folder}: {error}; choose another folder"
        ) from error
    return folder


def _write_sequence(folder: Path, scene: Scene, wanted: dict) -> None:
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


@contextmanager
def new_folder(folder: Path, is_complete: Callable[[], bool], prefix: str = _PARTIAL) -> Iterator[Path]:
    """A folder to write into that takes the place of `folder` if all goes well, and otherwise vanishes.

    Args:
        folder: what it becomes; whatever is there is removed. Its parent exists.
        is_complete: whether `folder` holds the same, asked where another process was first.
        prefix: of the name in the meantime, in the same parent, where :func:`remove_leftovers` looks for it.
    """
    partial = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    try:
        yield partial
        partial.chmod(0o755)  # mkdtemp's folders are for their owner only
        if folder.exists():
            shutil.rmtree(folder)
        try:
            os.rename(partial, folder)
        except OSError:
            if not is_complete():  # otherwise another process was first, with the same pixels
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_complete(folder: Path, wanted: dict) -> bool:
    """Whether a sequence on disk is of this version and seed and none of its files is missing or empty."""
    if read_json(folder / MANIFEST) != wanted:
        return False
    files = [folder / "img" / f"{number:04d}.jpg" for number in range(1, wanted["frames"] + 1)]
    files.append(folder / "groundtruth_rect.txt")
    return all(file.is_file() and file.stat().st_size > 0 for file in files)


def _is_ours(folder: Path) -> bool:
    return isinstance(read_json(folder / MANIFEST), dict)


def read_json(path: Path) -> object:
    """What a JSON file holds; None where it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def remove_leftovers(folder: Path, prefix: str = _PARTIAL) -> None:
    """Remove what killed calls left half written in a folder; not what another process may be writing now."""
    for partial in folder.glob(f"{prefix}*"):
        with suppress(FileNotFoundError):
            if time.time() - partial.stat().st_mtime > _STALE:
                shutil.rmtree(partial, ignore_errors=True)


# -- the training set --------------------------------------------------------------------------------------------


def draw_recipe(
    random: np.random.RandomState, photos: Sequence[str | Path], size: tuple[int, int] = IMAGE_SIZE
) -> Recipe:
    """A recipe for training: any mixture of what the benchmark shows one by one, and objects that bend.

    Args:
        photos: packaged names or image files, at least one.
        size: width and height of the images.
    """

    def chance(probability: float) -> bool:
        return random.uniform() < probability

    def between(low: float, high: float) -> float:
        return float(np.exp(random.uniform(np.log(low), np.log(high))))

    background = photos[random.randint(len(photos))]
    extent = min(size) * between(0.09, 0.42)

    def draw(photo: str | Path) -> Cutout:
        cutout = draw_cutout(random, photo, extent, background)
        return replace(cutout, flex=between(0.06, 0.45), flex_period=between(8, 60)) if chance(0.5) else cutout

    target = draw(_other(random, photos, background))
    distractors = []
    while chance(0.4) and len(distractors) < 2:
        if chance(0.4):  # the target's double, as one player of a team is another's
            rx, ry = target.rx * between(0.85, 1.1), target.ry * between(0.85, 1.1)
            distractors.append(replace(target, rx=rx, ry=ry, wobble=random.uniform(0, 0.25)))
        else:
            # another part of the same photograph looks more alike than another photograph does
            photo = target.photo if chance(0.6) else _other(random, photos, background)
            distractors.append(replace(draw(photo), power=target.power))
    passers = [draw(_other(random, photos, background))] if chance(0.28) else []
    standing = [draw(_other(random, photos, background))] if chance(0.25) else []
    pan = random.uniform(0, 1)
    return Recipe(
        background=background,
        target=target,
        extent=extent,
        enlarge=between(1.05, 2.0),
        look=tuple((1 - pan) * random.uniform(-1, 1, 2)),
        pan=pan,
        pan_period=between(40, 200),
        dolly=random.uniform(0, 0.15),
        roam=random.uniform(1.1, 1.8) if chance(0.2) else random.uniform(0.3, 1),
        roam_period=between(24, 60) if chance(0.25) else between(60, 160),
        scale=random.uniform(0, 0.6),
        scale_period=between(40, 120),
        aspect=random.uniform(0, 0.7),
        aspect_period=between(30, 100),
        sway=random.uniform(0, 40),
        sway_period=between(30, 100),
        turn=random.uniform(-6, 6) if chance(0.25) else 0.0,
        shake=between(0.3, 4),
        distractors=tuple(distractors),
        passers=tuple(passers),
        closeness=between(0.5, 2.0) if chance(0.6) else 0.0,
        passer_extent=between(0.6, 1.3),
        standing=tuple(standing),
        standing_extent=between(0.5, 1.2),
        defocus=between(0.5, 3) if chance(0.3) else 0.5,
        shutter=random.uniform(0.2, 0.8) if chance(0.4) else 0.0,
        exposure=random.uniform(0, 1.2) if chance(0.3) else 0.2,
        shadow=random.uniform(0.2, 0.7) if chance(0.2) else 0.0,
        tint=tuple(random.uniform(0.9, 1.1, 3)),
        noise=between(0.5, 5),
        grey=chance(0.1),
    )


def _other(random: np.random.RandomState, photos: Sequence[str | Path], not_this: str | Path) -> str | Path:
    """Any of the photographs but one, if there are more."""
    choice = random.randint(len(photos))
    if photos[choice] == not_this:
        choice = (choice + 1 + random.randint(max(len(photos) - 1, 1))) % len(photos)
    return photos[choice]


def draw_cutout(random: np.random.RandomState, photo: str | Path, extent: float, background: str | Path) -> Cutout:
    """A part of a photograph with structure of its own that stands out from the background: the best of a few."""
    thumbnail, behind = _thumbnail(photo), _thumbnail(background).reshape(-1, 3).mean(0)
    width, height = photo_texture(photo).size
    best, best_score = None, -1.0
    for _ in range(6):
        ratio = np.exp(random.uniform(-0.5, 0.5))
        # from a third of the size shown, lest it be a blur, to most of the photograph
        radius = np.clip(min(width, height) * random.uniform(0.08, 0.4), extent / 3, 0.45 * min(width, height))
        rx, ry = min(radius * ratio, width / 2), min(radius / ratio, height / 2)
        x, y = random.uniform(rx, max(width - rx, rx + 1)), random.uniform(ry, max(height - ry, ry + 1))
        power = float(random.choice([2.0, 2.0, 2.5, 4.0, 8.0]))
        cutout = Cutout(photo, x, y, rx, ry, power, wobble=random.uniform(0, 0.25))
        scale = thumbnail.shape[1] / width
        left, top = int((x - rx) * scale), int((y - ry) * scale)
        part = thumbnail[top : int((y + ry) * scale) + 1, left : int((x + rx) * scale) + 1].reshape(-1, 3)
        score = min(part.mean(1).std(), 40) + 0.5 * min(float(np.linalg.norm(part.mean(0) - behind)), 80)
        if score > best_score:
            best, best_score = cutout, score
    return best


@lru_cache(maxsize=1024)
def _thumbnail(photo: str | Path) -> np.ndarray:
    image = photo_texture(photo).levels[0]
    scale = 48 / max(image.shape[:2])
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.float32)


class Generated(VideoDataset):
    """Generated sequences for training, each frame rendered when it is asked for.

    Args:
        num_sequences: how many there are.
        seed: sequence i depends on (seed, i) and the list of photographs only.
        length: frames in each.
        size: width and height of the images in pixels.
        photos: a folder of JPEG or PNG photographs (searched with its sub-folders) or a list of such files;
            the packaged training photographs if None.

    Raises:
        UserError: the folder holds no photograph.
    """

    def __init__(
        self,
        num_sequences: int = 1000,
        seed: int = 0,
        length: int = 60,
        size: tuple[int, int] = IMAGE_SIZE,
        photos: str | Path | Sequence[Path] | None = None,
    ):
        super().__init__("generated")
        self.num_sequences, self.seed, self.length, self.size = num_sequences, seed, length, size
        if photos is None:
            self.photos: tuple[str | Path, ...] = TRAINING_PHOTOGRAPHS
        else:
            self.photos = find_photographs(photos) if isinstance(photos, str | Path) else tuple(map(Path, photos))
        self._scenes: OrderedDict[int, Scene] = OrderedDict()

    def __len__(self) -> int:
        return self.num_sequences

    def scene(self, index: int) -> Scene:
        """The scene of a sequence; the last few are kept.

        Raises:
            IndexError: no such sequence.
            ImageReadError: a photograph is missing or damaged.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name} has {len(self)} sequences, there is no sequence {index}")
        if index not in self._scenes:
            self._scenes[index] = self._draw_scene(index)
            if len(self._scenes) > _CACHED_SCENES:
                self._scenes.popitem(last=False)
        self._scenes.move_to_end(index)
        return self._scenes[index]

    def _draw_scene(self, index: int) -> Scene:
        random = np.random.RandomState([_TRAINING_STREAM, self.seed, index])
        while True:
            scene = build_scene(draw_recipe(random, self.photos, self.size), random, self.size, self.length)
            centres = scene.vertices(np.arange(self.length)).mean(1)
            if ((centres > 0) & (centres < self.size)).all(1).mean() > 0.5:
                return scene
            # a target that may leave the image happened to be outside for most of the time: another one

    def _read_sequence(self, index: int) -> SequenceInfo:
        scene = self.scene(index)
        return video_info(scene.boxes(), hidden=~scene.visible())

    def _frame_path(self, index: int, frame: int) -> Path:
        raise NotImplementedError("generated frames lie in no file")

    def frames(self, index: int, ids: Sequence[int], reductions: Sequence[int] | None = None) -> list[np.ndarray]:
        """Images of a sequence, rendered now, each uint8 RGB (H, W, 3), in the order of `ids`; see VideoDataset."""
        scene = self.scene(index)
        for frame in ids:
            if not 0 <= frame < scene.length:
                raise IndexError(f"sequence {index} of {self.name} has {scene.length} frames, no frame {frame}")
        reductions = reductions or [1] * len(ids)
        return [shrink(scene.render(frame), k) for frame, k in zip(ids, reductions, strict=True)]

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_scenes": OrderedDict()}
