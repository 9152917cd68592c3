"""Composition: from a recipe to a scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ltr.dataset.generated.cutouts import Cutout, cut
from ltr.dataset.generated.deformation import draw_deformation
from ltr.dataset.generated.light import Light
from ltr.dataset.generated.recipes import Recipe
from ltr.dataset.generated.scene import SyntheticScene
from ltr.dataset.generated.sprites import Sprite
from ltr.dataset.generated.textures import Photograph
from ltr.dataset.generated.waves import Wave


def build_scene(recipe: Recipe, random: np.random.RandomState, size: tuple[int, int], length: int) -> SyntheticScene:
    """The scene of a recipe; outlines, paths and phases, which the recipe leaves open, are drawn at random.

    Args:
        random: a RandomState, because NumPy guarantees that its stream never changes (a Generator's may).
        size: width and height of the images.
        length: number of frames.
    """
    diagonal = float(np.hypot(*size))
    background = Photograph(recipe.background)
    fill = max(size[0] / background.size[0], size[1] / background.size[1])
    room = (recipe.shake, recipe.shake, size[0] - recipe.shake, size[1] - recipe.shake)

    def sprite(cutout: Cutout, extent: float) -> Sprite:
        outline, texture_matrix = cut(cutout, extent, random)
        return Sprite(
            outline,
            Photograph(cutout.photo),
            texture_matrix,
            x=Wave.draw(random, recipe.roam, recipe.roam_period),
            y=Wave.draw(random, recipe.roam, recipe.roam_period * 1.2),
            room=room,
            angle=Wave.draw(random, recipe.sway, recipe.sway_period, slope=recipe.turn),
            log_scale=Wave.draw(random, recipe.scale, recipe.scale_period),
            log_aspect=Wave.draw(random, recipe.aspect, recipe.aspect_period),
            tilt=random.uniform(0, 180),
            # a rigid object draws no random numbers here: the benchmark's scenes depend on the order of the draws
            deformation=draw_deformation(random, extent, cutout.flex, cutout.flex_period) if cutout.flex else None,
        )

    target = sprite(recipe.target, recipe.extent)
    behind = [sprite(cutout, recipe.extent * random.uniform(0.85, 1.15)) for cutout in recipe.distractors]
    if recipe.closeness:
        stray = recipe.closeness * recipe.extent
        behind = [
            replace(
                distractor,
                # in units of half the free space around a target of this extent
                x=target.x + Wave.draw(random, 2 * stray / max(size[0] - recipe.extent, 1), recipe.roam_period),
                y=target.y + Wave.draw(random, 2 * stray / max(size[1] - recipe.extent, 1), recipe.roam_period),
            )
            for distractor in behind
        ]
    in_front = []
    for number, cutout in enumerate(recipe.passers, start=1):
        passer = sprite(cutout, recipe.extent * recipe.passer_extent)
        meeting = length * number / (len(recipe.passers) + 1)
        position = target.pose(meeting)[:, 2]
        direction = np.deg2rad(random.uniform(-25, 25)) + np.pi * random.randint(2)
        # it crosses the image in about two thirds of the sequence
        velocity = diagonal / (0.65 * length) * np.array([np.cos(direction), np.sin(direction)])
        start = position - meeting * velocity
        x, y = Wave(start[0], velocity[0]), Wave(start[1], velocity[1])
        in_front.append(replace(passer, x=x, y=y, room=None))
    for cutout in recipe.standing:
        extent = recipe.extent * recipe.standing_extent
        stander = sprite(cutout, extent)
        # to one side of the target, so that it hides only a part of it
        direction = random.uniform(0, 2 * np.pi)
        distance = random.uniform(0.5, 0.9) * (recipe.extent + extent) / 2
        position = target.pose(length * random.uniform(0.1, 0.9))[:, 2]
        position = position + distance * np.array([np.cos(direction), np.sin(direction)])
        in_front.append(
            replace(
                stander,
                x=Wave.draw(random, 0.05 * extent, 60, offset=position[0]),
                y=Wave.draw(random, 0.05 * extent, 60, offset=position[1]),
                room=None,
                angle=Wave.draw(random, 3, 60, offset=random.uniform(-20, 20)),
                log_scale=Wave(),
                log_aspect=Wave(),
            )
        )

    sharpest = 0.5
    blur = max(recipe.defocus - sharpest, 0) / 2
    return SyntheticScene(
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
            shadow_position=Wave.draw(random, 0.7, 60),
        ),
        noise=recipe.noise,
        grey=recipe.grey,
        noise_seed=random.randint(2**31 - 1),
    )
