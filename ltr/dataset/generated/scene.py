"""Scenes: moving objects rendered over a photograph, with the exact box of the target at every instant.

A scene is a background photograph seen through a panning, zooming, shaking camera, and sprites drawn over it from back
to front. A sprite is a piece of a photograph inside a closed outline. Everything moves by smooth functions of a
continuous time, counted in frames, so a scene can be rendered between its frames: motion blur is the mean of such
renderings over the time that the shutter is open.

The outline has two uses: its area, supersampled, is the sprite's opacity, and its vertices give the box. The box is
therefore exact to the sub-pixel for any scale, rotation, foreshortening and deformation; it is not measured in pixels.

Coordinates are continuous and 0-based: pixel (column i, row j) covers [i, i + 1) x [j, j + 1). A box (x, y, w, h) of
whole numbers thus covers exactly w x h pixels. OTB's boxes do too; its files count from 1, as x + 1, y + 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import cv2
import numpy as np

from ltr.dataset.generated.geometry import clipped_box, extremes, fill, filled
from ltr.dataset.generated.light import Light
from ltr.dataset.generated.sprites import Sprite, paint
from ltr.dataset.generated.textures import Photograph, Texture
from ltr.dataset.generated.waves import Wave, Waves

VISIBLE_SHARE = 0.25
"""The target counts as visible while more than this share of its area in the image is not covered."""

_BLUR_STEP = 0.75  # pixels between the renderings that motion blur averages; closer ones look no smoother
_MAX_SUBFRAMES = 24
_LEAST_BLUR = 0.25  # of the lens, in pixels; a narrower one changes nothing
_NOISE_TILE = 512


@dataclass(frozen=True)
class SyntheticScene:
    """A whole sequence, ready to be rendered at any time.

    Attributes:
        size: width and height of the images.
        length: number of frames; frame i is at time i.
        background: the photograph behind everything.
        zoom: logarithm of its magnification.
        pan_x, pan_y: where the camera looks: at the extremes, -1 and 1, the photograph still fills the image.
        sprites: the objects over the background, from back to front.
        target: index of the tracked sprite.
        shake_x, shake_y: displacement of the whole image in pixels.
        shutter: share of the time between frames that the shutter is open: 0 for no motion blur.
        defocus: standard deviation of the Gaussian blur of the whole image, in pixels.
        light: illumination.
        noise: standard deviation of the sensor's noise, in grey levels.
        grey: whether the images have three equal channels.
        noise_seed: seed of the noise.
    """

    size: tuple[int, int]
    length: int
    background: Texture | Photograph
    zoom: Wave
    pan_x: Wave
    pan_y: Wave
    sprites: tuple[Sprite, ...]
    target: int
    shake_x: Wave = Wave()
    shake_y: Wave = Wave()
    shutter: float = 0.0
    defocus: Wave = Wave()
    light: Light = field(default_factory=Light)
    noise: float = 0.0
    grey: bool = False
    noise_seed: int = 0

    # -- ground truth --------------------------------------------------------------------------------------------

    def boxes(self) -> np.ndarray:
        """The target's box in every frame, float64 (length, 4), x, y, w, h.

        It is the smallest box around the part of the target that lies in the image, covered or not. Under motion blur
        it is the box at the middle of the exposure.
        """
        return self.boxes_of(self.vertices(np.arange(self.length)))

    def visible(self) -> np.ndarray:
        """bool (length,): whether more than VISIBLE_SHARE of the target's area is in the image and not covered."""
        return self.visible_of(self.vertices(np.arange(self.length)))

    def boxes_of(self, outlines: np.ndarray) -> np.ndarray:
        """As `boxes`, of the target's outlines in every frame, (length, V, 2)."""
        low, high = extremes(outlines)
        boxes = np.concatenate([low, high - low], axis=1)
        for frame in np.flatnonzero(((low < 0) | (high > self.size)).any(1)):
            boxes[frame] = clipped_box(outlines[frame], self.size)
        return boxes

    def visible_of(self, outlines: np.ndarray) -> np.ndarray:
        """As `visible`, of the target's outlines in every frame, (length, V, 2)."""
        frames = np.arange(self.length)
        low, high = extremes(outlines)
        unclear = ((low < 0) | (high > self.size)).any(1)
        covers = [self.vertices(frames, index) for index in range(self.target + 1, len(self.sprites))]
        for cover in covers:
            cover_low, cover_high = extremes(cover)
            unclear |= ((cover_low < high + 1) & (cover_high > low - 1)).all(1)
        x, y = outlines[unclear, :, 0], outlines[unclear, :, 1]
        areas = np.abs((x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(1)) / 2
        visible = np.ones(self.length, bool)
        for frame, area in zip(np.flatnonzero(unclear), areas, strict=True):
            # only the pixels around the target
            corner = np.clip(np.floor(low[frame]) - 2, 0, self.size)
            width, height = (np.clip(np.ceil(high[frame]) + 2, 0, self.size) - corner).astype(int).tolist()
            if width == 0 or height == 0:  # outside the image
                visible[frame] = False
                continue
            mask = filled((width, height), [outlines[frame] - corner])
            for cover in covers:
                fill(mask, cover[frame] - corner, 0)
            visible[frame] = cv2.countNonZero(mask) > VISIBLE_SHARE * area
        return visible

    def vertices(self, time: float | np.ndarray, sprite: int | None = None) -> np.ndarray:
        """The outline (..., V, 2) of a sprite, of the target if None, in image coordinates at `time` (...,)."""
        sprite = self.target if sprite is None else sprite
        return self.sprites[sprite].vertices(time) + self.shake(time)[..., None, :]

    # -- pixels --------------------------------------------------------------------------------------------------

    def render(self, frame: int) -> np.ndarray:
        """The image of a frame, uint8 (H, W, 3) RGB."""
        count = self._subframes(frame)
        if count == 1:
            image = self._compose(frame)
        else:
            total = np.zeros((self.size[1], self.size[0], 4), np.float32)
            for time in self.exposure_times(frame, count):
                cv2.accumulate(self._compose(time), total)
            image = cv2.convertScaleAbs(total, alpha=1 / count)
        image = cv2.cvtColor(image, cv2.COLOR_RGBA2RGB)
        return self.develop(self.defocused(image, frame), frame)

    def defocused(self, image: np.ndarray, frame: int) -> np.ndarray:
        """An image, uint8 (H, W, 3), with the frame's blur of the lens."""
        sigma = float(self.defocus(frame))
        if sigma <= _LEAST_BLUR:
            return image
        return cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)

    def defocus_reach(self, frame: int) -> int:
        """How many pixels around a pixel the frame's blur of the lens mixes into it, or more."""
        sigma = float(self.defocus(frame))
        return int(np.ceil(3 * sigma)) + 1 if sigma > _LEAST_BLUR else 0

    def develop(self, image: np.ndarray, frame: int, corner: tuple[int, int] = (0, 0)) -> np.ndarray:
        """A part of an image, uint8 (H, W, 3) from the pixel `corner` (x, y) on, with the frame's light and noise."""
        image = self.light.apply(image, frame, self.size, corner)
        if self.grey:
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return self._with_noise(image, frame, corner) if self.noise > 0 else image

    def _compose(self, time: float) -> np.ndarray:
        """The image at an instant, with a perfect camera: uint8 (H, W, 4), RGB and 255."""
        image = self.background.warp(self.view(time), self.size)
        for sprite in self.sprites:
            paint(image, sprite, time, self.shake(time))
        return image

    def shake(self, time: float | np.ndarray) -> np.ndarray:
        """How far the whole image is displaced, (..., 2) in pixels at `time` (...,)."""
        return self._shaking(time)

    def view(self, time: float | np.ndarray) -> np.ndarray:
        """(..., 2, 3) maps from the photograph's coordinates to those of the image at `time` (...,)."""
        camera = self._camera(time)
        zoom = np.exp(camera[..., :1])
        margin = np.array([_reach(self.shake_x), _reach(self.shake_y)])
        size, photo = np.array(self.size), np.array(self.background.size)
        room = np.maximum(photo / 2 - (size / 2 + margin) / zoom, 0)
        centre = photo / 2 + room * camera[..., 1:3]
        shift = size / 2 - zoom * centre + camera[..., 3:]
        return np.concatenate([zoom[..., None] * np.eye(2), shift[..., None]], -1)

    @cached_property
    def _camera(self) -> Waves:
        return Waves(self.zoom, self.pan_x, self.pan_y, self.shake_x, self.shake_y)

    @cached_property
    def _shaking(self) -> Waves:
        return Waves(self.shake_x, self.shake_y)

    def photograph_corners(self, time: np.ndarray) -> np.ndarray:
        """Three corners (T, 3, 2) of the photograph, in image coordinates at times (T,)."""
        corners = np.array([[0, 0, 1], [self.background.size[0], 0, 1], [0, self.background.size[1], 1]])
        return corners @ np.swapaxes(self.view(time), -1, -2)

    def _subframes(self, frame: int) -> int:
        """Number of renderings for the exposure of a frame."""
        if self.shutter == 0:
            return 1
        ends = self.exposure_ends(frame)
        paths = [self.vertices(ends, index) for index in range(len(self.sprites))]
        return max(map(subframes, [*paths, self.photograph_corners(ends)]))

    def exposure_ends(self, frame: int) -> np.ndarray:
        """When the shutter opens and closes, (2,)."""
        return frame + self.shutter * np.array([-0.5, 0.5])

    def exposure_times(self, frame: int, count: int) -> np.ndarray:
        """The middles of `count` equal parts of the time that the shutter is open, (count,)."""
        return frame + self.shutter * ((np.arange(count) + 0.5) / count - 0.5)

    def _with_noise(self, image: np.ndarray, frame: int, corner: tuple[int, int]) -> np.ndarray:
        random = np.random.RandomState(np.random.MT19937(0))  # several times as fast as one that asks for entropy
        random.seed([self.noise_seed, frame])
        top, left = random.randint(_NOISE_TILE) + corner[1], random.randint(_NOISE_TILE) + corner[0]
        noise = _noise_tile(*self.size)[top : top + image.shape[0], left : left + image.shape[1]]
        if self.grey:
            noise = cv2.cvtColor(cv2.extractChannel(noise, 0), cv2.COLOR_GRAY2RGB)
        noisy = cv2.scaleAdd(noise, self.noise, image.astype(np.float32))
        # rounds and clips in one pass; OpenCV's types lack scalars
        return cv2.add(noisy, (0, 0, 0, 0), dtype=cv2.CV_8U)  # type: ignore[call-overload]


def subframes(ends: np.ndarray) -> int:
    """Number of renderings for motion blur between two places of some points, (2, V, 2): one for each _BLUR_STEP."""
    distance = np.linalg.norm(ends[1] - ends[0], axis=-1).max()
    return int(np.clip(np.ceil(distance / _BLUR_STEP), 1, _MAX_SUBFRAMES))


def _reach(wave: Wave) -> float:
    return abs(wave.offset) + sum(abs(a) for a in wave.amplitudes)


@lru_cache(maxsize=1)
def _noise_tile(width: int, height: int) -> np.ndarray:
    """Noise from which images of a size are cut at any place of a tile, which repeats."""
    tile = np.random.RandomState(0).standard_normal((_NOISE_TILE, _NOISE_TILE, 3)).astype(np.float32)
    return np.pad(tile, [(0, height), (0, width), (0, 0)], mode="wrap")
