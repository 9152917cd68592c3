"""Energy-based regression, p(y | x) = exp f(x, y) / Z(x): the mathematics, for any task.

A network gives one number, the energy f, for an input x and a candidate target y. Energies are higher for better.
Everything is batched: targets are (B, D), candidates (B, M, D) and energies (B, M). Densities are logarithms.

Equations, algorithms and sections are those of Gustafsson, Danelljan, Bhat and Schön, "Energy-Based Models for Deep
Probabilistic Regression" (ECCV 2020, arXiv:1909.12297).

| In the paper | Here | File |
|---|---|---|
| the energy f(x, y) | `Energy` | energy.py |
| Eq. 4: the loss, with Z by importance sampling | `nll_importance_sampling` | losses.py |
| Eq. 5: the proposal q, a Gaussian mixture | `GaussianMixtureProposal` | proposals.py |
| Section 3.3: prediction, gradient ascent on f | `ascend` | refinement.py |
| Algorithm S1: ascent with backtracking | `ascend_backtracking` | refinement.py |
| Algorithm S2: ascent with early stopping | `ascend_early_stop` | refinement.py |
| Figure S2: the density on a slice | `density_slice_2d`, `embed_dims` | density.py |
| Section 4.1: relative coordinates of boxes | `rect_to_rel`, `rel_to_rect` | boxes.py |
| Appendices B, C, E.4, F.4: direct regression | `l2_loss`, `huber_loss` | baselines.py |
| the same: Gaussian, Laplace | `gaussian_loss`, `laplace_loss`, `multivariate_laplace_loss` | baselines.py |
| the same: Gaussian mixture | `gaussian_mixture_loss`, `gaussian_mixture_mean` | baselines.py |
| the same: cVAE | `elbo_loss` | baselines.py |
| the same: softmax | `SoftmaxBins` | baselines.py |

| Beyond the paper | Here | File |
|---|---|---|
| density and log Z on a grid, D <= 3 | `normalized_log_density_grid`, `log_partition_grid` | density.py |
| moments, intervals, marginals in any D | `importance_sample` | importance.py |
| calibration by a temperature | `temperature_curve` | calibration.py |
| log Z alone, and whether to trust it | `log_partition_importance_sampling`, `effective_sample_size` | losses.py |
| NCE, NCE+ | `noise_contrastive_estimation` | losses.py |
| KL divergence from noisy labels | `kl_importance_sampling` | losses.py |
| likelihood by Langevin dynamics | `contrastive_divergence`, `langevin_sample` | langevin.py |
| losses of the score | `score_matching`, `denoising_score_matching` | score_matching.py |
| overlap and formats of boxes | `elementwise_iou`, `xywh_to_xyxy`, `xyxy_to_xywh` | boxes.py |
"""

from ebm_common.baselines import (
    SoftmaxBins,
    SoftmaxMoments,
    elbo_loss,
    gaussian_loss,
    gaussian_mixture_loss,
    gaussian_mixture_mean,
    huber_loss,
    l2_loss,
    laplace_loss,
    multivariate_laplace_loss,
)
from ebm_common.boxes import elementwise_iou, rect_to_rel, rel_to_rect, xywh_to_xyxy, xyxy_to_xywh
from ebm_common.calibration import TemperatureCurve, temperature_curve
from ebm_common.density import (
    Density2D,
    GridDensity,
    density_slice_2d,
    embed_dims,
    log_partition_grid,
    normalized_log_density_grid,
)
from ebm_common.energy import Energy
from ebm_common.importance import ImportanceSample, importance_sample
from ebm_common.langevin import contrastive_divergence, langevin_sample
from ebm_common.losses import (
    effective_sample_size,
    kl_importance_sampling,
    log_partition_importance_sampling,
    nll_importance_sampling,
    noise_contrastive_estimation,
)
from ebm_common.proposals import GaussianMixtureProposal
from ebm_common.refinement import RefinementResult, ascend, ascend_backtracking, ascend_early_stop
from ebm_common.score_matching import denoising_score_matching, score_matching

__all__ = [
    "Density2D",
    "Energy",
    "GaussianMixtureProposal",
    "GridDensity",
    "ImportanceSample",
    "RefinementResult",
    "SoftmaxBins",
    "SoftmaxMoments",
    "TemperatureCurve",
    "ascend",
    "ascend_backtracking",
    "ascend_early_stop",
    "contrastive_divergence",
    "denoising_score_matching",
    "density_slice_2d",
    "effective_sample_size",
    "elbo_loss",
    "elementwise_iou",
    "embed_dims",
    "gaussian_loss",
    "gaussian_mixture_loss",
    "gaussian_mixture_mean",
    "huber_loss",
    "importance_sample",
    "kl_importance_sampling",
    "l2_loss",
    "langevin_sample",
    "laplace_loss",
    "log_partition_grid",
    "log_partition_importance_sampling",
    "multivariate_laplace_loss",
    "nll_importance_sampling",
    "noise_contrastive_estimation",
    "normalized_log_density_grid",
    "rect_to_rel",
    "rel_to_rect",
    "score_matching",
    "temperature_curve",
    "xywh_to_xyxy",
    "xyxy_to_xywh",
]
