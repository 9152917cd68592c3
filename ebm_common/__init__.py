"""Regression by energy: p(y | x) = exp f(x, y) / Z(x). The mathematics, which knows no task.

A network gives one number f for an input and a candidate target. This package draws the candidates
(`GaussianMixtureProposal`), makes the loss (`nll_importance_sampling` and its relatives), predicts (`ascend`,
`ascend_backtracking`, `ascend_early_stop`) and looks at the density (`normalized_log_density_grid`,
`density_slice_2d`, `importance_sample`). Everything is batched: targets are (B, D), candidates (B, M, D) and energies
(B, M). Energies are higher for better; densities are logarithms.
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
