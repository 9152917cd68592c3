"""Fit the temperature of a box network's density on held-out pairs: `python ltr/run_calibration.py <name> <network>`,

    python ltr/run_calibration.py ebm pytracking/networks/ebm_efficientnet_lite0.safetensors

<name> is a file of ltr/train_settings/bbreg; its settings say what the pairs are, and can be changed as in training:
`--data.val_sets stills video`. Printed is, for each set and for all, how likely each temperature makes the held-out
boxes and how often they lie inside the 50, 80 and 95% credible regions. The likeliest temperature is the one for
`--density.temperature` of the tracker.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import tyro
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from ebm_common import (
    GaussianMixtureProposal,
    ImportanceSample,
    importance_sample,
    rect_to_rel,
    temperature_curve,
)
from ltr.actors.bbreg import BBRegActor
from ltr.common.device import choose_device
from ltr.common.errors import UserError, cli_main
from ltr.models.bbreg import load_atom_net
from ltr.train_settings.bbreg.common import BBRegSettings, validation_pairs
from ltr.train_settings.registry import load_settings

TEMPERATURES = (0.5, 0.7, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0, 5.0, 7.0, 10.0)
LEVELS = (0.5, 0.8, 0.95)
CANDIDATES = 2048
_BATCH = 8
_PROPOSAL = GaussianMixtureProposal([0.05, 0.2])


@torch.no_grad()
def held_out(actor: BBRegActor, pairs, device: torch.device, name: str) -> tuple[ImportanceSample, Tensor]:
    """p(y | x) of all pairs, at temperature 1, and the energies of their labels (B,), on the CPU."""
    head = actor.net.bb_regressor
    parts, labels = [], []
    generator = torch.Generator(device).manual_seed(0)
    loader = DataLoader(pairs, batch_size=_BATCH)
    for batch in tqdm(loader, desc=name, unit="batch", disable=None):
        batch = {key: value.to(device) for key, value in batch.items()}
        size = batch["test_box"][:, 2:]
        features = actor.encode(batch, size)
        label = rect_to_rel(batch["test_box"], size)
        # Drawn at temperature 2, so that neither flatter nor sharper densities are far from the candidates.
        warm = importance_sample(
            lambda y, features=features: head.energy(features, y) / 2, label, _PROPOSAL, CANDIDATES, generator, 512
        )
        sample = warm.tempered(0.5)
        parts.append([t.cpu() for t in (sample.y, sample.f, sample.log_weight, sample.log_z)])
        labels.append(head.energy(features, label[:, None])[:, 0].cpu())
    return ImportanceSample(*(torch.cat(column) for column in zip(*parts, strict=True))), torch.cat(labels)


def table(sample: ImportanceSample, f_label: Tensor) -> tuple[str, float]:
    """Lines of the table of one set, and its likeliest temperature."""
    curve = temperature_curve(sample, f_label, TEMPERATURES)
    coverage = [curve.coverage(level) for level in LEVELS]
    lines = ["temperature  nll     " + "  ".join(f"{100 * level:3.0f}%" for level in LEVELS)]
    for k, temperature in enumerate(TEMPERATURES):
        shares = "  ".join(f"{100 * float(c[k]):4.0f}" for c in coverage)
        mark = "  <- likeliest" if temperature == curve.best() else ""
        lines.append(f"{temperature:11.2f}  {float(curve.nll[k]):6.2f}  {shares}{mark}")
    return "\n".join(lines), curve.best()


@cli_main
def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    if len(argv) < 2 or argv[0].startswith("-") or argv[1].startswith("-"):
        print(__doc__)
        return 0 if {"-h", "--help"} & set(argv) else 2
    name, network = argv[:2]
    default = load_settings("bbreg", name).settings()
    settings: BBRegSettings = tyro.cli(
        type(default), default=default, args=argv[2:], prog=f"run_calibration.py {name} {network}"
    )
    if settings.loss == "iou":
        raise UserError(f"'{name}' is trained to predict an IoU; only a network trained by likelihood has a density")
    device = choose_device(settings.device)
    net = load_atom_net(Path(network), settings.backbone_weights, settings.model.backbone).to(device).eval()
    actor = BBRegActor(net, settings.proposals, settings.loss, settings.refinement).eval()
    sets = {each: held_out(actor, pairs, device, each) for each, pairs in validation_pairs(settings).items()}
    columns = zip(*((*vars(sample).values(), f) for sample, f in sets.values()), strict=True)
    *fields, f_label = (torch.cat(column) for column in columns)
    if len(sets) > 1:
        sets["all"] = (ImportanceSample(*fields), f_label)
    for each, (sample, f) in sets.items():
        lines, best = table(sample, f)
        worth = float(sample.effective_sample_size().median())
        print(f"\n{each}: {len(f)} pairs, each worth {worth:.0f} draws of {CANDIDATES} (median)\n{lines}")
        if best in (TEMPERATURES[0], TEMPERATURES[-1]):
            print("the likeliest lies at the end of the range: something is wrong with the network or the pairs")
    print(f"\nfor the tracker: --density.temperature {best:g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
