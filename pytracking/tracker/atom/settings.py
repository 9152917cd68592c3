"""Settings of the ATOM tracker. Defaults are those of its published parameter file `default`, unless a comment says."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pytracking.tracker.networks import network_file


@dataclass
class FirstFrameSettings:
    """Augmentation of the first frame: each line makes samples for the classifier."""

    expansion: float = 2.0
    """Side of the patch that transformed samples are cut from, over that of a sample."""
    random_shift: float = 1 / 3
    """Mirrored, rotated and blurred samples are shifted by up to half of this share of their side."""
    flip: bool = True
    rotations: tuple[float, ...] = (5, -5, 10, -10, 20, -20, 30, -30, 45, -45, -60, 60)
    """Degrees."""
    blurs: tuple[tuple[float, float], ...] = ((2, 0.2), (0.2, 2), (3, 1), (1, 3), (2, 2))
    """Standard deviations (x, y) in pixels of the sample."""
    shifts: tuple[tuple[float, float], ...] = ((0.6, 0.6), (-0.6, 0.6), (0.6, -0.6), (-0.6, -0.6))
    """In half sides of the sample."""
    dropout_samples: int = 7
    dropout: float = 0.2
    """Probability with which a feature channel of a dropout sample is zero."""


@dataclass
class ClassifierSettings:
    """The target classifier that is learnt online."""

    layer: Literal["stride16", "classification"] = "stride16"
    """What it learns on: the backbone's features of stride 16, as in ATOM, or the backbone's classification layer."""
    channels: int = 64
    """Channels that the backbone's are projected to."""
    kernel: int = 4
    """Side of the filter, in feature cells."""
    label_sigma: float = 0.25
    """Standard deviation of the Gaussian label, in target sizes."""
    response_floor: float = 0.05
    """The response below zero is bent to lie above minus this."""
    filter_reg: float = 0.1
    projection_reg: float = 1e-4
    first_gauss_newton: int = 6
    """Gauss-Newton iterations on the first frame, over filter and projection."""
    first_conjugate_gradient: int = 10
    """Conjugate-gradient iterations in each of them."""
    update_iterations: int = 5
    """Conjugate-gradient iterations of an update, over the filter."""
    update_every: int = 10
    """Frames between two updates; a hard negative causes one at once."""
    memory: int = 250
    learning_rate: float = 0.01
    hard_negative_learning_rate: float = 0.02
    early_samples: int | None = None
    """The t-th sample after the first frame's is learnt at a rate of at least 1 / (t + this): early on, the filter
    knows one pose before one background. None for the rates above alone, as ATOM."""
    first_frame_weight: float = 0.25
    """Least total weight of the first frame's samples."""


@dataclass
class LocalizationSettings:
    """How a score map becomes a position and a judgement."""

    not_found: float = 0.25
    """A highest score below this is no target."""
    distractor: float = 0.8
    """A second peak above this share of the highest is a distractor."""
    hard_negative: float = 0.5
    """A second peak above this share of the highest is learnt as a negative."""
    neighbourhood: float = 2.2
    """Side of what belongs to a peak, in target sizes."""
    motion_prior: float = 0.0
    """Share that a score loses at half a search region from the target's last place; it grows with the square of the
    distance. Of two who look alike, the nearer one is the target. ATOM has none."""
    displacement: float = 0.8
    """How far a target may jump, in half search regions scaled by it, before a nearer second peak is preferred."""


@dataclass
class LostSettings:
    """What is done while the target is not found. ATOM looks in the same place again; so do the defaults."""

    patience: int = 2
    """Frames in a row without the target before the search region grows."""
    growth: float = 1.0
    """Factor by which its side then grows with each frame. Details keep their size: the network sees a larger patch."""
    largest: float = 2.0
    """Most that the side grows by; never beyond what shows the whole image."""
    found_again: float = 0.35
    """Least score outside the ordinary region: the more places are looked at, the more of them look like the target."""


@dataclass
class SizeSettings:
    """How much of a refined box's size is believed: see size_filter.py. ATOM believes all of it; so do the defaults."""

    scale_gain: float = 1.0
    """Share of a change of log sqrt(w h) that is taken over in a frame."""
    shape_gain: float = 1.0
    """Share of a change of log(w / h) that is taken over in a frame."""
    shape_return: float = 0.0
    """Share of the way back to the first frame's log(w / h) that is gone in a frame."""


@dataclass
class TrackerRefinementSettings:
    """From the classifier's position to the box (Appendix D.2)."""

    space: Literal["relative", "pixel"] = "relative"
    """'relative' climbs in (cx/w0, cy/h0, log w, log h), as ATOM* and the EBM; 'pixel' is ATOM's own."""
    iterations: int = 10
    """Gradient steps: ATOM 5, ATOM* and EBM 10."""
    step: tuple[float, float] = (2e-4, 1e-3)
    """Step-lengths for (position, size). 'pixel' multiplies them by the box's size; ATOM has (1, 1)."""
    starts: int = 10
    """Boxes that are refined: the classifier's and random ones around it."""
    position_noise: float = 0.1
    size_noise: float = 0.5
    """Random starts: widths of the uniform noise on centre and size, in sqrt(w h)."""
    best: int = 3
    """The output is the mean of that many highest-scoring boxes."""
    max_aspect_ratio: float = 6.0
    """Boxes longer than this are dropped."""


@dataclass
class TrackerDensitySettings:
    """How p(y | x) is looked at, where it is asked for. It does not change the boxes."""

    num_cells: int = 48
    """Cells a side of the density over one corner's places (Figure S2)."""
    num_samples: int = 1536
    """Boxes that all else is estimated from, by importance sampling."""
    sigmas: tuple[float, ...] = (0.05, 0.2)
    """Widths of the proposal around the box, in its size (position) and in factors of e (size)."""
    temperature: float = 1.0
    """p(y | x) is taken proportional to exp(f / temperature); 1 is the paper's. Fitted on held-out pairs by
    ltr/run_calibration.py, it mends a network that is too sure of itself."""


@dataclass
class AtomSettings:
    """The whole tracker."""

    network: str = "ebm_efficientnet_lite0.safetensors"
    """A shipped head by name, or a checkpoint file; a bare name is also looked for in {workspace}/networks."""
    backbone: str = "efficientnet_lite0"
    """Backbone that the network must have been trained on."""
    backbone_weights: Path | None = None
    """File with the backbone's ImageNet weights where the network's file holds none and there is no download."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the convolutions; all else is in float32. bfloat16 is faster on processors that have it (AVX512-BF16, AMX) and
    on GPUs, float16 on GPUs; docs/speed.md says what they do to the boxes."""
    search_area_scale: float = 5.0
    """Side of the search region, in sqrt(w h) of the target."""
    inside_ratio: float = 0.2
    """The target's centre is kept so that at least this share of its size stays in the image."""
    half_pixel_shift: bool = False
    """Adds half a patch pixel to every refined position. PyTracking trains its networks with boxes half a pixel up and
    left of where its tracker puts them and undoes it so; turn it on with PyTracking's own checkpoints. Networks trained
    here see one exact geometry, and there it only harms."""
    predicts: Literal["energy", "iou"] = "energy"
    """What the network's output is. Of an IoU there is no density."""
    first_frame: FirstFrameSettings = field(default_factory=FirstFrameSettings)
    classifier: ClassifierSettings = field(default_factory=ClassifierSettings)
    localization: LocalizationSettings = field(default_factory=LocalizationSettings)
    lost: LostSettings = field(default_factory=LostSettings)
    refinement: TrackerRefinementSettings = field(default_factory=TrackerRefinementSettings)
    size: SizeSettings = field(default_factory=SizeSettings)
    density: TrackerDensitySettings = field(default_factory=TrackerDensitySettings)

    def weight_files(self) -> list[Path]:
        """The files that the tracker's weights come from, for the record beside its results."""
        return [network_file(self.network), *([self.backbone_weights] if self.backbone_weights else [])]
