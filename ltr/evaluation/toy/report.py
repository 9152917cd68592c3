"""The report at the end of a training of the toy: the divergence from the truth, and a picture like Figure 2."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor, nn

from ltr.common.errors import UserError
from ltr.common.figures import save_figure
from ltr.common.files import write_json, writing
from ltr.common.provenance import provenance
from ltr.dataset.toy import HIGH, LOW, TOY_DENSITIES
from ltr.evaluation.toy.divergence import NUM_CELLS, kl_divergence, model_log_density, true_log_density
from ltr.evaluation.toy.model_file import SYSTEM_NAMES, read_toy_model
from ltr.train_settings.toy.common import ToySettings

PICTURE = "densities.png"
"""The last file that a report writes, in the run's folder."""
_PICTURE_NUM_CELLS = 512
_REMEDY = "make room, or choose another --workspace; the training itself is saved"
logger = logging.getLogger(__name__)


def write_report(folder: Path, system: str, net: nn.Module, settings: ToySettings) -> None:
    """Prints and writes KL(p_true || p_model), and draws the densities: `kl.json`, `densities.png` in the run's folder.

    If a neighbouring folder has a model of the other system for the same data, the picture shows the newest one too.

    Args:
        folder: the run's folder.
        system: 'gaussian' or 'ebm'.
        net: its network.
        settings: its settings.

    Raises:
        UserError: if the folder cannot be written.
    """
    density = TOY_DENSITIES[settings.data]
    divergence = kl_divergence(true_log_density(density), model_log_density(net))
    print(
        f"KL(truth || {system}) = {divergence} nats, on {NUM_CELLS} x {NUM_CELLS} points of {LOW:g} < x, y < {HIGH:g}"
    )
    result = {"data": density.name, "system": system, "kl": dataclasses.asdict(divergence), "cells": NUM_CELLS}
    with writing(folder / "kl.json", _REMEDY):
        write_json(folder / "kl.json", {**result, **provenance(settings, seed=settings.seed)})

    nets = {system: net}
    (other,) = SYSTEM_NAMES.keys() - nets.keys()
    beside = _newest_model(folder, other, settings.data)
    if beside is not None:
        nets[other] = beside
    panels = {"Truth": true_log_density(density, _PICTURE_NUM_CELLS)}
    for name in SYSTEM_NAMES:
        if name in nets:
            panels[SYSTEM_NAMES[name]] = model_log_density(nets[name], _PICTURE_NUM_CELLS)
    path = folder / PICTURE
    with writing(path, _REMEDY):
        draw_densities(path, panels)
    print(f"densities: {path}")


def draw_densities(path: Path, panels: dict[str, Tensor]) -> None:
    """Draws heatmaps of p(y | x) on one scale; `panels` has log-densities (cells of x, cells of y) by title."""
    densities = {title: log_density.exp().numpy() for title, log_density in panels.items()}
    # the truth has narrow bright ridges: the scale ends at a value that few points exceed, so all parts are visible
    top = float(np.quantile(next(iter(densities.values())), 0.995))
    figure = Figure(figsize=(1.1 + 2.85 * len(panels), 3.4), dpi=150, layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (title, p) in zip(axes, densities.items(), strict=True):
        image = axis.imshow(
            p.T, origin="lower", extent=(LOW, HIGH, LOW, HIGH), vmin=0, vmax=top, cmap="magma", aspect="equal"
        )
        axis.set(title=title, xlabel="x", xticks=range(-2, 3))
    axes[0].set_ylabel("y")
    figure.colorbar(image, ax=axes, label="p(y | x)", extend="max", pad=0.02)
    save_figure(figure, path)


def _newest_model(folder: Path, system: str, data: str) -> nn.Module | None:
    files = sorted(folder.parent.glob(f"*/{system}_final.safetensors"), key=lambda file: file.stat().st_mtime)
    for file in reversed(files):
        try:
            settings, net = read_toy_model(file)
        except UserError as error:
            logger.warning("not drawn: %s", error)
            continue
        if settings["data"] == data:
            return net
    return None
