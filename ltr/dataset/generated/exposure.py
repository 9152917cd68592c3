"""A part of a frame, rendered fast: what training looks at.

:meth:`SyntheticScene.render` is the plain form: motion blur is the mean of renderings of the whole image, as many as
the fastest motion in it needs. Here only a part of the image is rendered, and each layer is blurred by itself, from
back to front, as its own motion needs. A moving sprite is drawn once, or more often while it bends fast, and that
picture moves along the sprite's path. Without motion blur the image is the same, but for what OpenCV rounds; with it,
what moves differs by a grey level or so.
"""

from __future__ import annotations

import cv2
import numpy as np

from ltr.dataset.base import Part
from ltr.dataset.generated.geometry import extremes
from ltr.dataset.generated.scene import SyntheticScene, subframes
from ltr.dataset.generated.sprites import Sprite, draw, paint
from ltr.dataset.generated.textures import from_centres


def render_part(scene: SyntheticScene, frame: int, part: Part) -> np.ndarray:
    """The pixels of a part of a frame's image, uint8 (bottom - top, right - left, 3) RGB.

    Args:
        part: within the image, and not empty.
    """
    halo = scene.defocus_reach(frame)
    left, top = max(part[0] - halo, 0), max(part[1] - halo, 0)
    right, bottom = min(part[2] + halo, scene.size[0]), min(part[3] + halo, scene.size[1])
    corner = np.array([left, top])
    image = _background(scene, frame, corner, (right - left, bottom - top))
    for sprite in scene.sprites:
        _expose(image, scene, sprite, frame, corner)
    sharp = cv2.cvtColor(image, cv2.COLOR_RGBA2RGB)
    within = slice(part[1] - top, part[3] - top), slice(part[0] - left, part[2] - left)
    return scene.develop(scene.defocused(sharp, frame)[within], frame, (part[0], part[1]))


def _background(scene: SyntheticScene, frame: int, corner: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The photograph behind everything, uint8 (height, width, 4)."""
    count = subframes(scene.photograph_corners(scene.exposure_ends(frame))) if scene.shutter else 1
    views = scene.view(scene.exposure_times(frame, count))
    views[..., 2] -= corner
    if count == 1:
        return scene.background.warp(views[0], size)
    total = np.zeros((size[1], size[0], 4), np.float32)
    for view in views:
        cv2.accumulate(scene.background.warp(view, size), total)
    return cv2.convertScaleAbs(total, alpha=1 / count)


def _expose(image: np.ndarray, scene: SyntheticScene, sprite: Sprite, frame: int, corner: np.ndarray) -> None:
    """Draws a sprite, blurred by its motion, into a part of the image, uint8 (H, W, 4) from `corner` on."""
    if not scene.shutter:
        paint(image, sprite, frame, scene.shake(frame) - corner)
        return
    ends = scene.exposure_ends(frame)
    poses, shapes, outlines = sprite.posed(ends)
    outlines = outlines + (scene.shake(ends) - corner)[:, None]
    count = subframes(outlines)
    low, high = (f(e, 0) for f, e in zip((np.min, np.max), extremes(outlines), strict=True))
    size = np.array(image.shape[1::-1])
    low = np.clip(np.floor(low) - 1 - count, 0, size).astype(int)  # paths between the ends are bent a little
    high = np.clip(np.ceil(high) + 1 + count, 0, size).astype(int)
    if (high <= low).any():
        return
    if count == 1:
        paint(image, sprite, frame, scene.shake(frame) - corner)
        return
    bends = 1 if sprite.deformation is None else min(subframes(shapes @ poses[0, :, :2].T), count)
    times = scene.exposure_times(frame, count)
    poses = sprite.pose(times)
    poses[:, :, 2] += scene.shake(times) - corner - low
    width, height = (high - low).tolist()
    total = np.zeros((height, width, 4), np.float32)
    for group in np.array_split(np.arange(count), bends):
        picture, to_picture = _picture(sprite, times[group].mean())
        from_picture = np.linalg.inv(np.vstack([to_picture, (0, 0, 1)]))
        moves = poses[group, :, :2] @ from_picture[:2]
        moves[..., 2] += poses[group, :, 2]
        for move in from_centres(moves):
            cv2.accumulate(cv2.warpAffine(picture, move, (width, height)), total)
    region = image[low[1] : high[1], low[0] : high[0]]
    clear = 1 - total[..., 3] / (255 * count)
    behind = cv2.multiply(region, cv2.merge([clear] * 4), dtype=cv2.CV_32F)
    region[:] = cv2.convertScaleAbs(cv2.scaleAdd(total, 1 / count, behind))


def _picture(sprite: Sprite, time: float) -> tuple[np.ndarray, np.ndarray]:
    """A sprite at a time by itself, its colours times its opacity and its opacity, uint8 (h, w, 4).

    Returns:
        The picture, and the (2, 3) map from deformed outline coordinates to it.
    """
    pose, _, outline = sprite.posed(time)
    low, high = extremes(outline)
    low = np.floor(low) - 1
    width, height = (np.ceil(high) + 1 - low).astype(int).tolist()
    pose[:, 2] -= low
    colours, opacity = draw(sprite, pose, outline - low, (width, height), time)
    return cv2.blendLinear(colours, np.zeros_like(colours), opacity, 1 - opacity), pose
