"""ATOM's target classifier: a projection and a small filter, learnt on the first frame and updated online."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ltr.ops.cuda_graphs import Captured
from pytracking.tracker.atom.filter_problem import Samples, filter_objective, solve_filter, solve_joint
from pytracking.tracker.atom.localization import gaussian_label
from pytracking.tracker.atom.memory import SampleMemory
from pytracking.tracker.atom.settings import ClassifierSettings


class TargetClassifier:
    """Learns to respond with a Gaussian peak at the target's centre.

    Args:
        features: (N, K, H, W) backbone features of the first frame's samples.
        centers: (N, 2) the target's centre (x, y) in each, in feature cells from the map's edge.
        target_size: (w, h) of the target, in feature cells.
        settings: of the classifier.
        generator: source of the initial values and of the dropped channels, on the CPU.
        dropout_samples: number of copies of the first sample with channels dropped.
        dropout: probability with which a channel is dropped.
        watch: called with the objective, a scalar, before the first Gauss-Newton step and after each.
    """

    def __init__(
        self,
        features: Tensor,
        centers: np.ndarray,
        target_size: np.ndarray,
        settings: ClassifierSettings,
        generator: torch.Generator,
        dropout_samples: int,
        dropout: float,
        watch: Callable[[Tensor], None] | None = None,
    ):
        self.settings = settings
        self.cells = features.shape[-1]
        self.sigma = settings.label_sigma * np.sqrt(np.prod(target_size)) * np.ones(2)
        features = normalise(features)
        if dropout_samples:
            kept = torch.rand(dropout_samples, features.shape[1], 1, 1, generator=generator) >= dropout
            dropped = features[:1] * kept.to(features) / (1 - dropout)
            features = torch.cat([features, dropped])
            centers = np.concatenate([centers, np.repeat(centers[:1], dropout_samples, axis=0)])
        labels = torch.stack([self.label(c, features.device) for c in centers])

        s, channels = settings, features.shape[1]
        projection = (torch.randn(s.channels, channels, generator=generator) / channels**0.5).to(features)
        taps = s.kernel**2
        initial = (torch.randn(s.channels, taps, generator=generator) / (s.channels * taps)).to(features)
        weights = features.new_full((len(features),), 1 / len(features))
        self.projection, self.filter = solve_joint(
            Samples(features, s.kernel),
            labels,
            weights,
            projection,
            initial,
            s.projection_reg,
            s.filter_reg,
            s.response_floor,
            s.first_gauss_newton,
            s.first_conjugate_gradient,
            watch,
        )
        self._remembered = 0
        self.memory = SampleMemory(_project(features, self.projection), labels, s.memory, s.first_frame_weight)

    def respond(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Backbone features (1, K, H, W) of a frame -> the projected sample (1, channels, H, W), and scores (H, W)."""
        sample, scores = _respond(features, self.projection, self.filter, kernel=self.settings.kernel)
        return sample, scores

    def label(self, center: np.ndarray, device: torch.device) -> Tensor:
        """The desired response (H, W) to a target whose centre is (x, y) cells from the map's edge."""
        return gaussian_label(self.cells, np.asarray(center), self.sigma, device)

    def remember(self, sample: Tensor, center: np.ndarray, hard_negative: bool) -> None:
        """Store a frame's projected sample with the target at `center`, in cells."""
        s = self.settings
        self._remembered += 1
        rate = s.hard_negative_learning_rate if hard_negative else s.learning_rate
        if s.early_samples is not None:
            rate = max(rate, 1 / (self._remembered + s.early_samples))
        self.memory.add(sample[0], self.label(center, sample.device), rate)

    def update(self, watch: Callable[[Tensor], None] | None = None) -> None:
        """Improve the filter on the memory. `watch` is called with the objective, a scalar, before and after."""
        s = self.settings
        stored = features, labels, weights = self.memory.contents()

        def report() -> None:
            if watch is not None:
                samples = Samples(features, s.kernel)
                watch(filter_objective(samples, labels, weights, self.filter, s.filter_reg, s.response_floor))

        report()
        (self.filter,) = _improve(
            *stored,
            self.filter,
            kernel=s.kernel,
            filter_reg=s.filter_reg,
            floor=s.response_floor,
            iterations=s.update_iterations,
        )
        report()


@Captured
def _respond(features: Tensor, projection: Tensor, filter: Tensor, kernel: int) -> tuple[Tensor, ...]:
    sample = _project(normalise(features), projection)
    return sample, Samples(sample, kernel).correlate(filter)[0]


@Captured
def _improve(
    features: Tensor,
    labels: Tensor,
    weights: Tensor,
    filter: Tensor,
    kernel: int,
    filter_reg: float,
    floor: float,
    iterations: int,
) -> tuple[Tensor, ...]:
    return (solve_filter(Samples(features, kernel), labels, weights, filter, filter_reg, floor, iterations),)


def _project(normalised: Tensor, projection: Tensor) -> Tensor:
    """(N, K, H, W) normalised features -> (N, channels, H, W)."""
    return (normalised.permute(0, 2, 3, 1) @ projection.T).permute(0, 3, 1, 2)


def normalise(features: Tensor) -> Tensor:
    """Each sample's features, in float32, to unit mean square over channels and cells."""
    features = features.float()
    power = features.square().mean(dim=(1, 2, 3), keepdim=True)
    return features * (power + 1e-10).rsqrt()
