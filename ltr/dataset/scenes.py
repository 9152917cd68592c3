"""Rendering of moving objects over a photograph, with the exact box of the target at every instant.

A scene is a background photograph seen through a panning, zooming, shaking camera, and sprites drawn over it from back
to front. A sprite is a piece of a photograph inside a closed outline. Everything moves by smooth functions of a
continuous time, counted in frames, so a scene can be rendered between its frames: motion blur is the mean of such
renderings over the time that the shutter is open.

The outline serves twice: its area, supersampled, is the sprite's opacity, and its vertices give the box. The box is
therefore exact to the sub-pixel for whatever scale, rotation, foreshortening and deformation; no pixel is ever measured
for it.

Coordinates are continuous and 0-based: pixel (column i, row j) covers [i, i + 1) x [j, j + 1). A box (x, y, w, h) of
whole numbers thus covers exactly w x h pixels, as in OTB, whose files say x + 1, y + 1 for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import cv2
import numpy as np

VISIBLE_SHARE = 0.25
"""The target counts as visible while more than this share of its area in the image is not covered."""

_SUPERSAMPLING = 4  # sub-pixels per pixel side in the opacity of a sprite's edge
_FIXED_POINT = 4  # fractional bits of cv2.fillPoly's vertices
_BLUR_STEP = 0.75  # pixels between the renderings that motion blur averages; closer ones look no smoother
_MAX_SUBFRAMES = 24
_NOISE_TILE = 512


@dataclass(frozen=True)
class Wave:
    """A smooth function of time: offset + slope * t + sum_k amplitude_k * sin(2 pi (t / period_k + phase_k))."""

    offset: float = 0.0
    slope: float = 0.0
    amplitudes: tuple[float, ...] = ()
    periods: tuple[float, ...] = ()
    phases: tuple[float, ...] = ()

    def __call__(self, time: float | np.ndarray) -> np.ndarray:
        """Values at `time`, in frames, of the same shape."""
        time = np.asarray(time, float)
        value = self.offset + self.slope * time
        for amplitude, period, phase in zip(self.amplitudes, self.periods, self.phases, strict=True):
            value = value + amplitude * np.sin(2 * np.pi * (time / period + phase))
        return value

    def __add__(self, other: Wave) -> Wave:
        """The sum of two waves."""
        return Wave(
            self.offset + other.offset,
            self.slope + other.slope,
            self.amplitudes + other.amplitudes,
            self.periods + other.periods,
            self.phases + other.phases,
        )

    @staticmethod
    def draw(
        random: np.random.RandomState, amplitude: float, period: float, offset: float = 0.0, slope: float = 0.0
    ) -> Wave:
        """A wave that stays within offset +- amplitude (for slope 0), of three periods around the one given."""
        shares = np.array([0.6, 0.25, 0.15])
        periods = period * np.array([1.0, 0.61, 0.37]) * random.uniform(0.85, 1.15, 3)
        phases = random.uniform(0, 1, 3)
        return Wave(offset, slope, tuple(amplitude * shares), tuple(periods), tuple(phases))


class Texture:
    """An image and its reductions by 2, 4 and 8, for warping without aliasing.

    Args:
        image: uint8 (H, W, 3).
    """

    def __init__(self, image: np.ndarray):
        self.levels = [image]
        while len(self.levels) < 4 and min(self.levels[-1].shape[:2]) >= 16:
            height, width = self.levels[-1].shape[:2]
            half = cv2.resize(self.levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            self.levels.append(half)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the full image."""
        return self.levels[0].shape[1], self.levels[0].shape[0]

    def warp(self, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """The image seen through an affine map.

        Args:
            matrix: (2, 3), from continuous coordinates of the image to those of the result.
            size: width and height of the result.

        Returns:
            uint8 (height, width, 3). Beyond its border the image is mirrored.
        """
        image, reduction = self._level(matrix[:, :2])
        linear = matrix[:, :2] * reduction
        # OpenCV counts from pixel centres
        shift = matrix[:, 2] - 0.5 + linear @ (0.5, 0.5)
        return cv2.warpAffine(
            image, np.column_stack([linear, shift]), size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )

    def sample(self, x: np.ndarray, y: np.ndarray, linear: np.ndarray) -> np.ndarray:
        """The image's colours at any places, each the middle of a pixel of the result.

        Args:
            x, y: float32 (height, width), continuous coordinates of the image.
            linear: (2, 2), about how the image is magnified there.

        Returns:
            uint8 (height, width, 3). Beyond its border the image is mirrored.
        """
        image, reduction = self._level(linear)
        # OpenCV counts from pixel centres
        x, y = (cv2.addWeighted(a, 1 / r, a, 0, -0.5) for a, r in zip((x, y), reduction, strict=True))
        return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)

    def _level(self, linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The reduction of the image that suits a magnification (2, 2), and the ratios (2,) of their sizes."""
        magnification = np.sqrt(abs(np.linalg.det(linear)))
        level = int(np.clip(np.floor(-np.log2(max(magnification, 1e-6)) + 0.25), 0, len(self.levels) - 1))
        image = self.levels[level]
        return image, np.array(self.size) / (image.shape[1], image.shape[0])


@dataclass(frozen=True)
class Ripple:
    """A sine along one coordinate s that changes in time: amplitude(t) * sin(pi * (frequency * s + phase + drift * t)).

    Over the length of an object, s from -1 to 1, a frequency of a quarter bends one end, a half bends the middle or
    turns the ends against each other, and one makes an S. A drift, in half turns a frame, makes the wave travel.
    """

    frequency: float
    amplitude: Wave
    phase: float = 0.0
    drift: float = 0.0

    def __call__(self, s: np.ndarray, time: float | np.ndarray) -> np.ndarray:
        """Values at places `s`, (N,) for any shape of `time` or any shape for a scalar: (..., N), of the type of s."""
        amplitude = self.amplitude(time)[..., None].astype(s.dtype)
        phase = np.pi * (self.phase + self.drift * np.asarray(time, float))[..., None].astype(s.dtype)
        return amplitude * np.sin(np.pi * self.frequency * s + phase)


@dataclass(frozen=True)
class Deformation:
    """How a sprite bends in its own plane, as limbs do.

    It acts in coordinates (u, v) that are turned by `axis` and measured in units of `radius`. First each line across
    the object (of one v) swells and moves aside, u' = u * exp(swell(v)) + bend(v); then each line along it (of one u')
    moves lengthways, v' = v + stretch(u'). Either step is undone exactly, so the texture can be looked up for every
    pixel, and neither can fold or tear, whatever the amplitudes.

    Attributes:
        radius: about half the outline's size, in pixels at scale 1.
        axis: direction of u in degrees.
        bend, swell, stretch: each the sum of its ripples.
    """

    radius: float
    axis: float = 0.0
    bend: tuple[Ripple, ...] = ()
    swell: tuple[Ripple, ...] = ()
    stretch: tuple[Ripple, ...] = ()

    @cached_property
    def frame(self) -> np.ndarray:
        """(2, 2) map from (u, v) to outline coordinates."""
        return _rotation(self.axis) * self.radius

    def forward(self, points: np.ndarray, time: float | np.ndarray) -> np.ndarray:
        """Where points (N, 2) of the undeformed outline or its inside are at `time` (...,): (..., N, 2)."""
        u, v = np.linalg.solve(self.frame, points.T)
        u = u * np.exp(_sum(self.swell, v, time)) + _sum(self.bend, v, time)
        v = v + _sum(self.stretch, u, time)
        return np.stack(np.broadcast_arrays(u, v), -1) @ self.frame.T

    def backward(self, u: np.ndarray, v: np.ndarray, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Where the points that are at (u, v), arrays of one shape, at `time` would be undeformed."""
        v = v - _sum(self.stretch, u, time)
        u = (u - _sum(self.bend, v, time)) * np.exp(-_sum(self.swell, v, time))
        return u, v


def _sum(ripples: tuple[Ripple, ...], s: np.ndarray, time: float | np.ndarray) -> np.ndarray | float:
    return sum(ripple(s, time) for ripple in ripples)


@dataclass(frozen=True)
class Sprite:
    """A piece of a photograph inside an outline, moving.

    Attributes:
        outline: (V, 2), a simple closed polygon around the origin, in pixels at scale 1.
        texture: the photograph.
        texture_matrix: (2, 3), from outline coordinates to those of the photograph.
        x, y: the origin's place. Pixels if `room` is None; otherwise -1 and 1 are the extreme places at which the
            outline, as large as it is at the time, stays inside `room`.
        room: (left, top, right, bottom) in pixels, or None.
        angle: in-plane rotation in degrees.
        log_scale: logarithm of the scale.
        log_aspect: logarithm of the ratio of the outline's scale along and across its tilt axis.
        tilt: direction of that axis in degrees: foreshortening of a flat object that turns away.
        deformation: how outline and texture bend together, or None for a rigid object.
    """

    outline: np.ndarray
    texture: Texture
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

    def posed(self, time: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The pose, and the outline as it is deformed: (..., V, 2), or (V, 2) where that is always the same."""
        time = np.asarray(time, float)
        shape = self.outline if self.deformation is None else self.deformation.forward(self.outline, time)
        scale, aspect = self.log_scale(time), self.log_aspect(time) / 2
        squash = np.zeros(time.shape + (2, 2))
        squash[..., 0, 0], squash[..., 1, 1] = np.exp(scale + aspect), np.exp(scale - aspect)
        tilt = _rotation(self.tilt)
        linear = _rotation(self.angle(time)) @ tilt @ squash @ np.swapaxes(tilt, -1, -2)
        return np.concatenate([linear, self._origin(time, linear, shape)[..., None]], -1), shape

    def _origin(self, time: np.ndarray, linear: np.ndarray, shape: np.ndarray) -> np.ndarray:
        place = np.stack([self.x(time), self.y(time)], -1)
        if self.room is None:
            return place
        vertices = shape @ np.swapaxes(linear, -1, -2)
        lowest = np.array(self.room[:2]) - vertices.min(-2)
        highest = np.array(self.room[2:]) - vertices.max(-2)
        # an outline larger than its room stays in the middle
        return (lowest + highest) / 2 + place * np.maximum(highest - lowest, 0) / 2

    def vertices(self, time: float | np.ndarray) -> np.ndarray:
        """(..., V, 2) the outline in image coordinates at `time` (...,)."""
        pose, shape = self.posed(time)
        return shape @ np.swapaxes(pose[..., :2], -1, -2) + pose[..., None, :, 2]


@dataclass(frozen=True)
class Light:
    """Illumination at a time: the image is multiplied by 2 ** exposure * tint * shadow.

    Attributes:
        exposure: in stops.
        tint: one factor a channel.
        shadow_depth: share of the light that the shadow takes; 0 for no shadow.
        shadow_angle: direction across the shadow's edge, in degrees.
        shadow_place: where its edge is along that direction: 0 through the image's centre, 1 at a half diagonal.
    """

    exposure: Wave = Wave()
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shadow_depth: float = 0.0
    shadow_angle: float = 0.0
    shadow_place: Wave = Wave()

    def apply(self, image: np.ndarray, time: float) -> np.ndarray:
        """`image`, float32 or uint8 (H, W, 3), in this light: uint8."""
        factors = 2.0 ** float(self.exposure(time)) * np.array(self.tint)
        if self.shadow_depth == 0:
            table = np.arange(256)[:, None] * factors
            table = np.clip(np.round(table), 0, 255).astype(np.uint8)
            return image if (factors == 1).all() else cv2.LUT(image, table[None])
        height, width = image.shape[:2]
        # the edge is soft, so a small map serves
        columns, rows = np.meshgrid(np.linspace(-1, 1, 32) * width, np.linspace(-1, 1, 24) * height)
        angle = np.deg2rad(self.shadow_angle)
        across = (columns * np.cos(angle) + rows * np.sin(angle)) / np.hypot(width, height)
        shadow = 1 / (1 + np.exp(-np.clip((across - float(self.shadow_place(time))) / 0.06, -30, 30)))
        field = ((1 - self.shadow_depth * shadow)[..., None] * factors).astype(np.float32)
        return cv2.multiply(image, cv2.resize(field, (width, height)), dtype=cv2.CV_8U)


@dataclass(frozen=True)
class Scene:
    """A whole sequence, ready to be rendered at any time.

    Attributes:
        size: width and height of the images.
        length: number of frames; frame i is at time i.
        background: the photograph behind everything.
        zoom: logarithm of its magnification.
        pan_x, pan_y: where the camera looks: -1 and 1 are the extreme places at which the photograph fills the image.
        sprites: what is drawn over it, from back to front.
        target: index of the tracked sprite.
        shake_x, shake_y: displacement of the whole image in pixels.
        shutter: share of the time between frames that the shutter is open: 0 for no motion blur.
        defocus: standard deviation of the Gaussian blur of the whole image, in pixels.
        light: illumination.
        noise: standard deviation of the sensor's noise, in grey levels.
        grey: whether the images have three equal channels.
        noise_seed: what the noise is drawn from.
    """

    size: tuple[int, int]
    length: int
    background: Texture
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

        It is the smallest box around the part of the target that lies in the image, whatever covers it. Under motion
        blur it is the box at the middle of the exposure.
        """
        outlines = self.vertices(np.arange(self.length))
        low, high = outlines.min(1), outlines.max(1)
        boxes = np.concatenate([low, high - low], axis=1)
        for frame in np.flatnonzero(((low < 0) | (high > self.size)).any(1)):
            boxes[frame] = clipped_box(outlines[frame], self.size)
        return boxes

    def visible(self) -> np.ndarray:
        """bool (length,): whether more than VISIBLE_SHARE of the target's area is in the image and not covered."""
        frames = np.arange(self.length)
        outlines = self.vertices(frames)
        following = np.roll(outlines, -1, axis=1)
        crosses = outlines[..., 0] * following[..., 1] - outlines[..., 1] * following[..., 0]
        areas = np.abs(crosses.sum(1)) / 2
        inside = ((outlines >= 0) & (outlines <= self.size)).all((1, 2))
        visible = np.ones(self.length, bool)
        covers = [self.vertices(frames, index) for index in range(self.target + 1, len(self.sprites))]
        for frame in frames if covers else frames[~inside]:
            mask = _fill(self.size, [outlines[frame]])
            for cover in covers:
                fill(mask, cover[frame], 0)
            visible[frame] = cv2.countNonZero(mask) > VISIBLE_SHARE * areas[frame]
        return visible

    def vertices(self, time: float | np.ndarray, sprite: int | None = None) -> np.ndarray:
        """(..., V, 2) outline of a sprite, the target's if None, in image coordinates at `time` (...,)."""
        sprite = self.target if sprite is None else sprite
        return self.sprites[sprite].vertices(time) + self._shake(time)[..., None, :]

    # -- pixels --------------------------------------------------------------------------------------------------

    def render(self, frame: int) -> np.ndarray:
        """The image of a frame, uint8 (H, W, 3) RGB."""
        count = self._subframes(frame)
        if count == 1:
            image = self._compose(frame)
        else:
            total = np.zeros((self.size[1], self.size[0], 3), np.float32)
            for time in frame + self.shutter * ((np.arange(count) + 0.5) / count - 0.5):
                cv2.accumulate(self._compose(time), total)
            image = cv2.convertScaleAbs(total, alpha=1 / count)
        sigma = float(self.defocus(frame))
        if sigma > 0.25:  # narrower ones change nothing
            image = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        image = self.light.apply(image, frame)
        if self.grey:
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return self._with_noise(image, frame) if self.noise > 0 else image

    def _compose(self, time: float) -> np.ndarray:
        shake = self._shake(time)
        view = self._view(time)
        view[:, 2] += shake
        image = self.background.warp(view, self.size)
        for sprite in self.sprites:
            _paint(image, sprite, time, shake)
        return image

    def _shake(self, time: float | np.ndarray) -> np.ndarray:
        return np.stack([self.shake_x(time), self.shake_y(time)], -1)

    def _view(self, time: float) -> np.ndarray:
        """(2, 3) from the photograph's coordinates to the unshaken image's."""
        zoom = float(np.exp(self.zoom(time)))
        margin = np.array([_reach(self.shake_x), _reach(self.shake_y)])
        size, photo = np.array(self.size), np.array(self.background.size)
        room = np.maximum(photo / 2 - (size / 2 + margin) / zoom, 0)
        centre = photo / 2 + room * np.array([self.pan_x(time), self.pan_y(time)])
        return np.column_stack([zoom * np.eye(2), size / 2 - zoom * centre])

    def _subframes(self, frame: int) -> int:
        """How many renderings the exposure of a frame needs: one for every _BLUR_STEP pixels of the fastest motion."""
        if self.shutter == 0:
            return 1
        times = frame + self.shutter * np.array([-0.5, 0.5])
        paths = [self.vertices(times, index) for index in range(len(self.sprites))]
        corners = np.array([[0, 0, 1], [self.background.size[0], 0, 1], [0, self.background.size[1], 1]])
        paths.append(np.stack([corners @ (self._view(time)).T + self._shake(time) for time in times]))
        distance = max(np.linalg.norm(path[1] - path[0], axis=-1).max() for path in paths)
        return int(np.clip(np.ceil(distance / _BLUR_STEP), 1, _MAX_SUBFRAMES))

    def _with_noise(self, image: np.ndarray, frame: int) -> np.ndarray:
        random = np.random.RandomState([self.noise_seed, frame])
        tile, (width, height) = _noise_tile(), self.size
        # the tile wraps around, for images larger than it
        rows = (random.randint(_NOISE_TILE) + np.arange(height)) % _NOISE_TILE
        columns = (random.randint(_NOISE_TILE) + np.arange(width)) % _NOISE_TILE
        noise = np.take(tile[rows], columns, axis=1)
        if self.grey:
            noise = np.repeat(noise[..., :1], 3, axis=-1)
        noisy = cv2.scaleAdd(noise, self.noise, image.astype(np.float32))
        return cv2.add(noisy, (0, 0, 0, 0), dtype=cv2.CV_8U)  # rounds and clips in one pass


def clipped_box(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The smallest box around the part of a polygon that lies in the image.

    Args:
        polygon: (V, 2) vertices of a simple polygon.
        size: width and height of the image, [0, width] x [0, height].

    Returns:
        float64 (4,) x, y, w, h; all zero if no part lies in the image.
    """
    limit = np.array(size, float)
    inside = ((polygon >= 0) & (polygon <= limit)).all(1)
    if not inside.all():
        # What remains is bounded by vertices in the image, crossings of the image's border, and the image's corners.
        points = [polygon[inside]]
        following = np.roll(polygon, -1, axis=0)
        for axis in (0, 1):
            for border in (0.0, limit[axis]):
                before, after = polygon[:, axis] - border, following[:, axis] - border
                crosses = before * after < 0
                share = (before[crosses] / (before[crosses] - after[crosses]))[:, None]
                crossing = polygon[crosses] + share * (following[crosses] - polygon[crosses])
                crossing[:, axis] = border
                other = crossing[:, 1 - axis]
                points.append(crossing[(other >= 0) & (other <= limit[1 - axis])])
        contour = polygon.astype(np.float32)
        corners = [(x, y) for x in (0.0, limit[0]) for y in (0.0, limit[1])]
        points.append(np.array([c for c in corners if cv2.pointPolygonTest(contour, c, False) > 0]).reshape(-1, 2))
        polygon = np.concatenate(points)
        if len(polygon) == 0:
            return np.zeros(4)
    low, high = polygon.min(0), polygon.max(0)
    return np.concatenate([low, high - low])


def fill(mask: np.ndarray, polygon: np.ndarray, value: int) -> None:
    """Set the pixels inside a polygon (V, 2) and on its edge to a value. mask: uint8 (H, W), changed in place."""
    cv2.fillPoly(mask, [_fixed_point(polygon)], value, shift=_FIXED_POINT)


def _paint(image: np.ndarray, sprite: Sprite, time: float, shake: np.ndarray) -> None:
    """Draw a sprite into `image`, uint8 (H, W, 3)."""
    pose, shape = sprite.posed(time)
    pose[:, 2] += shake
    vertices = shape @ pose[:, :2].T + pose[:, 2]
    size = np.array([image.shape[1], image.shape[0]])
    low = np.clip(np.floor(vertices.min(0)) - 1, 0, size).astype(int)
    high = np.clip(np.ceil(vertices.max(0)) + 1, 0, size).astype(int)
    width, height = high - low
    if width <= 0 or height <= 0:
        return

    # OpenCV fills a polygon's boundary as well, up to a sub-pixel too far. It does the same to what surrounds the
    # polygon, so that the mean of the two has its edge in the right place.
    surroundings = np.array([(-8, -8), (width + 8, -8), (width + 8, height + 8), (-8, height + 8)])
    vertices = vertices - low
    inner = _fill((width, height), [vertices], _SUPERSAMPLING)
    outer = _fill((width, height), [vertices, surroundings], _SUPERSAMPLING)
    opacity = cv2.resize(
        cv2.addWeighted(inner, 0.5, outer, -0.5, 127.5), (int(width), int(height)), interpolation=cv2.INTER_AREA
    )
    opacity = opacity.astype(np.float32) / 255

    to_region = np.column_stack([pose[:, :2], pose[:, 2] - low])
    region = image[low[1] : high[1], low[0] : high[0]]
    colours = _colours(sprite, to_region, (int(width), int(height)), time)
    region[:] = cv2.blendLinear(colours, np.ascontiguousarray(region), opacity, 1 - opacity)


def _colours(sprite: Sprite, to_region: np.ndarray, size: tuple[int, int], time: float) -> np.ndarray:
    """A sprite's texture in a region of the image, uint8 (height, width, 3).

    Args:
        to_region: (2, 3) from deformed outline coordinates to those of the region.
        size: width and height of the region.
    """
    if sprite.deformation is None:
        to_photo = np.vstack([sprite.texture_matrix, [0, 0, 1]])
        return sprite.texture.warp(to_region @ np.linalg.inv(to_photo), size)
    frame = sprite.deformation.frame
    to_frame = np.linalg.inv(to_region[:, :2] @ frame)
    columns, rows = np.arange(size[0]) + 0.5, np.arange(size[1])[:, None] + 0.5
    u, v = sprite.deformation.backward(*_affine(to_frame, -to_frame @ to_region[:, 2], columns, rows), time)
    x, y = _affine(sprite.texture_matrix[:, :2] @ frame, sprite.texture_matrix[:, 2], u, v)
    return sprite.texture.sample(x, y, to_region[:, :2] @ np.linalg.inv(sprite.texture_matrix[:, :2]))


def _affine(linear: np.ndarray, shift: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """linear @ (x, y) + shift for arrays that broadcast together, in single precision."""
    x, y = x.astype(np.float32), y.astype(np.float32)
    (a, b), (c, d) = linear.tolist()
    e, f = shift.tolist()
    return a * x + (b * y + e), c * x + (d * y + f)


def _fill(size: tuple[int, int], polygons: list[np.ndarray], magnification: int = 1) -> np.ndarray:
    """uint8 (height, width) * magnification: 255 inside an odd number of the polygons and on their edges, else 0."""
    mask = np.zeros((size[1] * magnification, size[0] * magnification), np.uint8)
    cv2.fillPoly(mask, [_fixed_point(p * magnification) for p in polygons], 255, shift=_FIXED_POINT)
    return mask


def _fixed_point(polygon: np.ndarray) -> np.ndarray:
    """A polygon (V, 2) as cv2.fillPoly wants it: counted from the centres of pixels, in fractions of them."""
    return np.round((polygon - 0.5) * 2**_FIXED_POINT).astype(np.int32)


def _rotation(degrees: float | np.ndarray) -> np.ndarray:
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _reach(wave: Wave) -> float:
    return abs(wave.offset) + sum(abs(a) for a in wave.amplitudes)


@lru_cache(maxsize=1)
def _noise_tile() -> np.ndarray:
    return np.random.RandomState(0).standard_normal((_NOISE_TILE, _NOISE_TILE, 3)).astype(np.float32)
