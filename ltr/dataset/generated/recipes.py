"""Recipes: what a generated sequence shows, in numbers; and random recipes for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ltr.dataset.generated.cutouts import Cutout, draw_cutout

IMAGE_SIZE = (320, 240)
"""Width and height of generated images in pixels, unless the caller asks for another size."""


@dataclass(frozen=True)
class Recipe:
    """What a sequence shows, and how much moves and changes in it. Lengths are in pixels of the image, times in frames.

    Attributes:
        background: name of a packaged photograph, or an image file.
        target: the tracked object.
        extent: geometric mean of the target's width and height at scale 1.
        enlarge: magnification of the background; at 1 it just fills the image.
        look: where the camera looks on average: (-1, -1) is the photograph's upper left, (1, 1) its lower right.
        pan, pan_period: how far the camera pans, as a share of what the photograph allows.
        dolly: amplitude of the logarithm of the background's magnification.
        roam, roam_period: how far the target moves, as a share of the free space; above 1 it leaves the image at times.
        scale, scale_period: amplitude of the logarithm of the target's scale.
        aspect, aspect_period: amplitude of the logarithm of its foreshortening.
        sway, sway_period: amplitude of its rotation in degrees.
        turn: its steady rotation in degrees a frame.
        shake: amplitude of the hand-held camera's shake.
        distractors: objects that move behind the target.
        closeness: 0 if the distractors follow paths of their own; otherwise they accompany the target, at most this
            many of its extents away to each side, so that they are next to it or partly behind it.
        passers: objects that pass in front of the target; the n-th of N covers it after n / (N + 1) of the sequence.
        passer_extent: their size relative to the target's.
        standing: objects that stand in front of the target's path; each covers a part of it at some time.
        standing_extent: their size relative to the target's.
        defocus: greatest standard deviation of the lens blur; the least is 0.5.
        shutter, exposure, shadow, tint, noise, grey: as in SyntheticScene and Light; `exposure` is an amplitude, in
            stops.
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


def draw_recipe(
    random: np.random.RandomState, photos: Sequence[str | Path], size: tuple[int, int] = IMAGE_SIZE
) -> Recipe:
    """A random recipe for training: it mixes what the benchmark shows one at a time, and half its objects deform.

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
    distractors: list[Cutout] = []
    while chance(0.4) and len(distractors) < 2:
        if chance(0.4):  # a look-alike of the target, as another player of the same team
            rx, ry = target.rx * between(0.85, 1.1), target.ry * between(0.85, 1.1)
            distractors.append(replace(target, rx=rx, ry=ry, wobble=random.uniform(0, 0.25)))
        else:
            # another part of the same photograph resembles the target more than another photograph does
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
