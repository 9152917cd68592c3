"""Sprites: pieces of photographs inside closed outlines, moving, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from ltr.dataset.generated.deformation import Deformation
from ltr.dataset.generated.geometry import affine, extremes, filled, rotation
from ltr.dataset.generated.textures import Photograph, Texture
from ltr.dataset.generated.waves import Wave, Waves

_SUPERSAMPLING = 4  # sub-pixels per pixel side in the opacity of a sprite's edge


@dataclass(frozen=True)
class Sprite:
    """A moving piece of a photograph inside an outline.

    Attributes:
        outline: (V, 2), a simple closed polygon around the origin, in pixels at scale 1.
        texture: the photograph.
        texture_matrix: (2, 3) map from outline coordinates to those of the photograph.
        x, y: the origin's position. Pixels if `room` is None; otherwise -1 and 1 are the extreme positions at which the
            outline, at its current size, stays inside `room`.
        room: (left, top, right, bottom) in pixels, or None.
        angle: in-plane rotation in degrees.
        log_scale: logarithm of the scale.
        log_aspect: logarithm of the ratio of the outline's scale along and across its tilt axis.
        tilt: direction of that axis in degrees: foreshortening of a flat object that turns away.
        deformation: how outline and texture bend together, or None for a rigid object.
    """

    outline: np.ndarray
    texture: Texture | Photograph
    texture_matrix: np.ndarray
    x: Wave
    y: Wave
    room: tuple[float, float, float, float] | None = None
    angle: Wave = Wave()
    log_scale: Wave = Wave()
    log_aspect: Wave = Wave()
    tilt: float = 0.0
    deformation: Deformation | None = None

    def pose(self, time: float | np.ndarray) -> np.ndarray:
        """(..., 2, 3) maps from deformed outline coordinates to image coordinates at `time` (...,)."""
        return self.posed(time)[0]

    def vertices(self, time: float | np.ndarray) -> np.ndarray:
        """The outline (..., V, 2) in image coordinates at `time` (...,)."""
        return self.posed(time)[2]

    def posed(self, time: float | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The pose, the deformed outline and the outline in the image, (..., V, 2).

        The deformed outline of a rigid object is (V, 2).
        """
        time = np.asarray(time, float)
        shape = self.outline if self.deformation is None else self.deformation.forward(self.outline, time)
        motion = self._motion(time)
        scale, aspect = motion[..., 3], motion[..., 4] / 2
        squash = np.zeros(time.shape + (2, 2))
        squash[..., 0, 0], squash[..., 1, 1] = np.exp(scale + aspect), np.exp(scale - aspect)
        tilt = self._tilted
        linear = rotation(motion[..., 2]) @ tilt @ squash @ np.swapaxes(tilt, -1, -2)
        around = shape @ np.swapaxes(linear, -1, -2)
        origin = self._origin(motion[..., :2], around)[..., None]
        return np.concatenate([linear, origin], -1), shape, around + np.swapaxes(origin, -1, -2)

    @cached_property
    def _motion(self) -> Waves:
        return Waves(self.x, self.y, self.angle, self.log_scale, self.log_aspect)

    @cached_property
    def _tilted(self) -> np.ndarray:
        return rotation(self.tilt)

    def _origin(self, position: np.ndarray, around: np.ndarray) -> np.ndarray:
        """Where the origin (..., 2) is for a position in `room`, and an outline (..., V, 2) around the origin."""
        if self.room is None:
            return position
        low, high = extremes(around)
        lowest, highest = np.array(self.room[:2]) - low, np.array(self.room[2:]) - high
        # an outline larger than its room stays in the middle
        return (lowest + highest) / 2 + position * np.maximum(highest - lowest, 0) / 2


def paint(image: np.ndarray, sprite: Sprite, time: float, shake: np.ndarray) -> None:
    """Draw a sprite into `image`, uint8 (H, W, 4), RGB and 255."""
    pose, _, vertices = sprite.posed(time)
    pose[:, 2] += shake
    vertices = vertices + shake
    size = np.array([image.shape[1], image.shape[0]])
    low = np.clip(np.floor(vertices.min(0)) - 1, 0, size).astype(int)
    high = np.clip(np.ceil(vertices.max(0)) + 1, 0, size).astype(int)
    width, height = high - low
    if width <= 0 or height <= 0:
        return

    to_region = np.column_stack([pose[:, :2], pose[:, 2] - low])
    colours, opacity = draw(sprite, to_region, vertices - low, (int(width), int(height)), time)
    region = image[low[1] : high[1], low[0] : high[0]]
    region[:] = cv2.blendLinear(colours, np.ascontiguousarray(region), opacity, 1 - opacity)


def draw(
    sprite: Sprite, to_region: np.ndarray, vertices: np.ndarray, size: tuple[int, int], time: float
) -> tuple[np.ndarray, np.ndarray]:
    """A sprite's colours, uint8 (height, width, 4), and its opacity, float32 (height, width), in a region of the image.

    Args:
        to_region: (2, 3) map from deformed outline coordinates to those of the region.
        vertices: the outline (V, 2) in the region.
        size: width and height of the region.
        time: of the deformation.
    """
    # OpenCV also fills a polygon's boundary, up to a sub-pixel too far. It does the same to the polygon's complement,
    # so the mean of the two masks has its edge in the right position.
    width, height = size
    surroundings = np.array([(-8, -8), (width + 8, -8), (width + 8, height + 8), (-8, height + 8)])
    inner = filled(size, [vertices], _SUPERSAMPLING)
    outer = filled(size, [vertices, surroundings], _SUPERSAMPLING)
    opacity = cv2.resize(cv2.addWeighted(inner, 0.5, outer, -0.5, 127.5), size, interpolation=cv2.INTER_AREA)
    return _colours(sprite, to_region, size, time), opacity.astype(np.float32) / 255


def _colours(sprite: Sprite, to_region: np.ndarray, size: tuple[int, int], time: float) -> np.ndarray:
    """A sprite's texture in a region of the image, uint8 (height, width, 4), RGB and 255.

    Args:
        to_region: (2, 3) map from deformed outline coordinates to those of the region.
        size: width and height of the region.
    """
    if sprite.deformation is None:
        to_photo = np.vstack([sprite.texture_matrix, [0, 0, 1]])
        return sprite.texture.warp(to_region @ np.linalg.inv(to_photo), size)
    frame = sprite.deformation.frame
    to_frame = np.linalg.inv(to_region[:, :2] @ frame)
    columns, rows = np.arange(size[0]) + 0.5, np.arange(size[1])[:, None] + 0.5
    u, v = sprite.deformation.backward(*affine(to_frame, -to_frame @ to_region[:, 2], columns, rows), time)
    x, y = affine(sprite.texture_matrix[:, :2] @ frame, sprite.texture_matrix[:, 2], u, v)
    return sprite.texture.sample(x, y, to_region[:, :2] @ np.linalg.inv(sprite.texture_matrix[:, :2]))
