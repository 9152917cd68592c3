"""Settings of the ATOM tracker.

Unless a comment says otherwise, the defaults are those of its published parameter file `default`.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ltr.common.errors import UserError
from ltr.common.settings import renamed_field
from pytracking.tracker.network_files import network_file


@dataclass
class FirstFrameSettings:
    """Augmentation of the first frame, from which the classifier learns at first."""

    expansion: float = 2.0
    """Side of the patch from which transformed samples are cut, over that of a sample."""
    random_shift: float = 1 / 3
    """Mirrored, rotated and blurred samples are shifted by at most half of this share of their side."""
    flip: bool = True
    rotations: tuple[float, ...] = (5, -5, 10, -10, 20, -20, 30, -30, 45, -45, -60, 60)
    """Degrees."""
    blurs: tuple[tuple[float, float], ...] = ((2, 0.2), (0.2, 2), (3, 1), (1, 3), (2, 2))
    """Standard deviations (x, y) in pixels of the sample."""
    shifts: tuple[tuple[float, float], ...] = ((0.6, 0.6), (-0.6, 0.6), (0.6, -0.6), (-0.6, -0.6))
    """In half sides of the sample."""
    dropout_samples: int = 7
    """Copies of the plain sample with feature channels dropped."""
    dropout: float = 0.2
    """Probability with which a feature channel is dropped."""


@dataclass
class ClassifierSettings:
    """The target classifier, which is learnt online."""

    layer: Literal["stride16", "classification"] = "stride16"
    """The features it learns on: the backbone's of stride 16, as in ATOM, or those of its classification layer."""
    channels: int = 64
    """Number of channels after the projection."""
    kernel: int = 4
    """Side of the filter, in feature cells."""
    label_sigma: float = 0.25
    """Standard deviation of the Gaussian label, in sqrt(w h) of the target."""
    response_floor: float = 0.05
    """Negative responses are bent to lie above minus this value."""
    filter_reg: float = 0.1
    """Weight of the filter's squared norm in the objective."""
    projection_reg: float = 1e-4
    """Weight of the projection's squared norm in the objective."""
    first_gauss_newton: int = 6
    """Gauss-Newton iterations on the first frame, over filter and projection."""
    first_conjugate_gradient: int = 10
    """Conjugate-gradient iterations in each Gauss-Newton iteration."""
    update_iterations: int = 5
    """Conjugate-gradient iterations of an update, over the filter."""
    update_every: int = 10
    """Frames between two updates; a hard negative causes one at once."""
    memory: int = 250
    """Largest number of samples."""
    learning_rate: float = 0.01
    """Weight of a new sample among all."""
    hard_negative_learning_rate: float = 0.02
    """Weight of a new sample with a hard negative."""
    early_samples: int | None = None
    """The t-th sample after the first frame's is learnt at a rate of at least 1 / (t + this): early on, the filter
    knows a single pose and background. None keeps to the rates above, as ATOM does."""
    first_frame_weight: float = 0.25
    """Smallest total weight of the first frame's samples."""

    def __post_init__(self) -> None:
        if self.early_samples is not None and self.early_samples < 0:
            raise UserError(f"classifier.early_samples is {self.early_samples}: give 0 or more, or None")


@dataclass
class LocalizationSettings:
    """From the score map to a position and a judgement, see localization.py."""

    not_found: float = 0.25
    """If the highest score is below this, the target is lost."""
    distractor: float = 0.8
    """A second peak above this share of the highest score is a distractor."""
    hard_negative: float = 0.5
    """A second peak above this share of the highest score is learnt as a negative."""
    neighbourhood: float = 2.2
    """Side of the area that belongs to a peak, in target sizes."""
    motion_prior: float = 0.0
    """Share that a score loses at half a search region from the target's last position; it grows with the square of the
    distance. Of two similar objects, the nearer one is the target. ATOM has no such prior."""
    displacement: float = 0.8
    """Distance, in half search regions, beyond which a peak loses against a nearer second one."""

    def __post_init__(self) -> None:
        if not 0 <= self.motion_prior <= 1:
            raise UserError(f"localization.motion_prior is {self.motion_prior:g}: a share must lie between 0 and 1")


@dataclass
class LostSettings:
    """The search for a lost target. ATOM searches the same region again, and so do the defaults."""

    patience: int = 2
    """Consecutive frames without the target before the search region grows."""
    growth: float = 1.0
    """Factor by which its side then grows with each frame. The scale stays: the network sees a larger patch."""
    largest: float = 2.0
    """Largest factor in all; the region never exceeds what shows the whole image."""
    sweep: bool = False
    """Once the region has grown to its largest and does not show the target, each frame searches another part of the
    image too, until all of it was seen, and then again: the target may come back anywhere."""
    found_again: float = 0.35
    """Smallest score that counts outside the ordinary region: a larger region has more peaks by chance."""

    def __post_init__(self) -> None:
        if not (self.growth >= 1 and self.largest >= 1):
            raise UserError(
                f"lost.growth is {self.growth:g} and lost.largest {self.largest:g}: both must be at least 1, "
                "where 1 is no growth"
            )


@dataclass
class SizeSettings:
    """The filter of the target's size, see size_filter.py. ATOM takes the refined size as it is; so do the defaults."""

    scale_gain: float = 1.0
    """Share of a change of log sqrt(w h) that a frame takes over."""
    shape_gain: float = 1.0
    """Share of a change of log(w / h) that a frame takes over."""
    shape_return: float = 0.0
    """Share of the difference to the first frame's log(w / h) by which a frame returns to it."""

    def __post_init__(self) -> None:
        shape = min(self.shape_gain, self.shape_return) >= 0 and self.shape_gain + self.shape_return <= 1
        if not (0 <= self.scale_gain <= 1 and shape):
            raise UserError(
                f"size.scale_gain is {self.scale_gain:g}, size.shape_gain {self.shape_gain:g} and size.shape_return "
                f"{self.shape_return:g}: all must lie between 0 and 1, and so must the sum of the last two"
            )


@dataclass
class TrackerRefinementSettings:
    """From the classifier's position to the box (Appendix D.2)."""

    space: Literal["relative", "pixel"] = "relative"
    """'relative' climbs in (cx/w0, cy/h0, log w, log h), as ATOM* and the EBM do; 'pixel' in pixels, as ATOM does."""
    iterations: int = 10
    """Gradient steps: ATOM 5, ATOM* and EBM 10."""
    step: tuple[float, float] = (2e-4, 1e-3)
    """Step-lengths for (position, size). 'pixel' multiplies them by the box's size; ATOM has (1, 1)."""
    starts: int = 10
    """Number of boxes that are refined: the classifier's, and random ones around it."""
    position_noise: float = 0.1
    """Random starts: width of the uniform noise on the centre, in sqrt(w h)."""
    size_noise: float = 0.5
    """Random starts: width of the uniform noise on the size, in sqrt(w h)."""
    best: int = 3
    """The output is the mean of this number of highest-scoring boxes."""
    max_aspect_ratio: float = 6.0
    """Boxes with a larger ratio of their sides are dropped. If the first box has more than three quarters of this
    ratio, boxes may have up to twice its ratio."""


@dataclass
class TrackerDensitySettings:
    """How p(y | x) is computed if it is asked for. It does not change the boxes."""

    num_cells: int = renamed_field("cells", 48)
    """Cells, a side, of the grid of one corner's positions (Figure S2)."""
    num_samples: int = renamed_field("candidates", 1536)
    """Number of boxes from which all else is estimated, by importance sampling."""
    sigmas: tuple[float, ...] = (0.05, 0.2)
    """Widths of the proposal around the box, in units of its size (position) and in factors of e (size)."""
    temperature: float = 1.0
    """p(y | x) is proportional to exp(f / temperature); the paper's is 1. ebm-calibrate fits it on held-out pairs, to
    correct a network that is overconfident."""


@dataclass
class AtomSettings:
    """The whole tracker."""

    network: str = "ebm_efficientnet_lite0.safetensors"
    """A shipped head by name, a checkpoint file, or a name in {workspace}/networks."""
    backbone: str = "efficientnet_lite0"
    """The backbone on which the network was trained."""
    backbone_weights: Path | None = None
    """File of the backbone's ImageNet weights, if the network's file holds none and they cannot be downloaded."""
    search_area_scale: float = 5.0
    """Side of the search region, in sqrt(w h) of the target."""
    inside_ratio: float = 0.2
    """The target's centre moves only so far that at least this share of its size stays in the image."""
    half_pixel_shift: bool | None = None
    """Adds half a patch pixel to every refined position. PyTracking trains its networks with boxes half a pixel up and
    left of where its tracker puts them, and corrects for it so. Networks trained here see one exact geometry, and it
    would harm them. None: on for a file of PyTracking, off for all others."""
    predicts: Literal["energy", "iou"] = "energy"
    """The network's output. A predicted IoU has no density."""
    first_frame: FirstFrameSettings = field(default_factory=FirstFrameSettings)
    classifier: ClassifierSettings = field(default_factory=ClassifierSettings)
    localization: LocalizationSettings = field(default_factory=LocalizationSettings)
    lost: LostSettings = field(default_factory=LostSettings)
    refinement: TrackerRefinementSettings = field(default_factory=TrackerRefinementSettings)
    size: SizeSettings = field(default_factory=SizeSettings)
    density: TrackerDensitySettings = field(default_factory=TrackerDensitySettings)

    def settled(self) -> "AtomSettings":
        """These settings, with what their network's file decides in the place of None.

        Raises:
            UserError: if the file is missing or cannot be read.
        """
        if self.half_pixel_shift is not None:
            return self
        from pytracking.tracker.atom.half_pixel_shift import half_pixel_shift

        file = network_file(self.network)
        return replace(self, half_pixel_shift=half_pixel_shift(file, file.stat().st_mtime_ns))

    def weight_files(self) -> list[Path]:
        """The files of the tracker's weights, for the record beside its results."""
        return [network_file(self.network), *([self.backbone_weights] if self.backbone_weights else [])]
