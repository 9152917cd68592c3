"""How well a box network's density fits held-out pairs, as a function of its temperature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from ebm_common import GaussianMixtureProposal, ImportanceSample, importance_sample, rect_to_rel, temperature_curve
from ltr.actors.bbreg import BBRegActor
from ltr.data.sampling import BoxPairs

TEMPERATURES = (0.5, 0.7, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 5.0, 7.0, 10.0)
LEVELS = (0.5, 0.8, 0.95)
NUM_SAMPLES = 2048
"""Candidate boxes of each pair."""
_BATCH = 8
_CHUNK = 512
_PROPOSAL = GaussianMixtureProposal([0.05, 0.2])

HeldOut = tuple[ImportanceSample, Tensor]
"""p(y | x) of pairs, at temperature 1, and the energies of their labels (B,)."""


@torch.no_grad()
def held_out_densities(actor: BBRegActor, pairs: BoxPairs, device: torch.device, name: str) -> HeldOut:
    """The densities of all pairs of a set, on the CPU; `name` titles the progress bar."""
    head = actor.net.bb_regressor
    parts, labels = [], []
    generator = torch.Generator(device).manual_seed(0)
    for batch in tqdm(DataLoader(pairs, batch_size=_BATCH), desc=name, unit="batch", disable=None):
        batch = {key: value.to(device) for key, value in batch.items()}
        size = batch["test_box"][:, 2:]
        features = actor.encode(batch, size)
        label = rect_to_rel(batch["test_box"], size)
        # Drawn at temperature 2, so that neither flatter nor sharper densities are far from the candidates.
        warm = importance_sample(
            lambda y, features=features: head.energy(features, y) / 2, label, _PROPOSAL, NUM_SAMPLES, generator, _CHUNK
        )
        sample = warm.tempered(0.5)
        parts.append([t.cpu() for t in (sample.y, sample.f, sample.log_weight, sample.log_z)])
        labels.append(head.energy(features, label[:, None])[:, 0].cpu())
    return ImportanceSample(*(torch.cat(column) for column in zip(*parts, strict=True))), torch.cat(labels)


def joined(sets: Sequence[HeldOut]) -> HeldOut:
    """Several sets as one."""
    columns = zip(*((*vars(sample).values(), f_label) for sample, f_label in sets), strict=True)
    *fields, f_label = (torch.cat(column) for column in columns)
    return ImportanceSample(*fields), f_label


def temperature_table(held_out: HeldOut) -> tuple[str, float]:
    """The table of a set, and its likeliest temperature.

    For each temperature it shows the mean negative log-likelihood of the labels, and how many percent of them each
    credible region contains.
    """
    curve = temperature_curve(*held_out, TEMPERATURES)
    coverage = [curve.coverage(level) for level in LEVELS]
    lines = ["temperature  nll     " + "  ".join(f"{100 * level:3.0f}%" for level in LEVELS)]
    likeliest = int(curve.nll.argmin())
    for k, temperature in enumerate(TEMPERATURES):
        shares = "  ".join(f"{100 * float(c[k]):4.0f}" for c in coverage)
        mark = "  <- likeliest" if k == likeliest else ""
        lines.append(f"{temperature:11.2f}  {float(curve.nll[k]):6.2f}  {shares}{mark}")
    return "\n".join(lines), TEMPERATURES[likeliest]


def report(sets: Mapping[str, HeldOut]) -> str:
    """The tables of all sets, of all sets together, and the likeliest temperature."""
    sets = {**sets, "all": joined(list(sets.values()))} if len(sets) > 1 else sets
    lines = []
    for name, held_out in sets.items():
        sample, f_label = held_out
        table, best = temperature_table(held_out)
        worth = float(sample.effective_sample_size().median())
        lines.append(f"\n{name}: {len(f_label)} pairs, each worth {worth:.0f} draws of {NUM_SAMPLES} (median)\n{table}")
        if best in (TEMPERATURES[0], TEMPERATURES[-1]):
            lines.append("The likeliest is at the end of the range: something is wrong with the network or the pairs.")
    return "\n".join([*lines, f"\nfor the tracker: --density.temperature {best:g}"])
