"""Regression by energy: p(y | x) = exp f(x, y) / Z(x). The mathematics, which knows no task.

A network gives one number f for an input and a candidate target. This package draws the candidates
(`GaussianMixtureProposal`), makes the loss (`nll_importance_sampling`), predicts (`ascend`, `ascend_backtracking`,
`ascend_early_stop`) and looks at the density (`normalized_log_density_grid`, `density_slice_2d`,
`importance_sample`). Everything is batched: targets are (B, D), candidates (B, M, D) and energies (B, M). Energies are
higher for better; densities are logarithms.
"""

from ebm_common.boxes import box_iou, rect_to_rel, rel_to_rect, xywh_to_xyxy, xyxy_to_xywh
from ebm_common.calibration import TemperatureCurve, temperature_curve
from ebm_common.density import (
    Density2D,
    GridDensity,
    density_slice_2d,
    embed_dims,
    log_partition_grid,
    normalized_log_density_grid,
)
from ebm_common.errors import UserError, cli_main
from ebm_common.importance import ImportanceSample, importance_sample
from ebm_common.losses import effective_sample_size, log_partition_importance_sampling, nll_importance_sampling
from ebm_common.proposals import GaussianMixtureProposal
from ebm_common.refinement import RefinementResult, ascend, ascend_backtracking, ascend_early_stop

__all__ = [
    "Density2D",
    "GaussianMixtureProposal",
    "GridDensity",
    "ImportanceSample",
    "RefinementResult",
    "TemperatureCurve",
    "UserError",
    "ascend",
    "ascend_backtracking",
    "ascend_early_stop",
    "box_iou",
    "cli_main",
    "density_slice_2d",
    "effective_sample_size",
    "embed_dims",
    "importance_sample",
    "normalized_log_density_grid",
    "log_partition_grid",
    "log_partition_importance_sampling",
    "nll_importance_sampling",
    "rect_to_rel",
    "rel_to_rect",
    "temperature_curve",
    "xywh_to_xyxy",
    "xyxy_to_xywh",
]
