"""Fit the temperature of a box network: ebm-calibrate <name> <network> [--setting value ...]

    ebm-calibrate ebm pytracking/networks/ebm_efficientnet_lite0.safetensors
    ebm-calibrate ebm mine.safetensors --data.val_sets stills video

<name> is a system of `ebm-train bbreg`; its settings say which pairs are held out, and can be
changed as in training. Prints for each set, and for all together, how likely each temperature makes
the held-out boxes, and how often they lie inside the 50, 80 and 95% credible regions. Give the
tracker the likeliest temperature as `--density.temperature`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ltr.actors.bbreg import BBRegActor
from ltr.commands.usage import parse_settings, usage_status
from ltr.common.device import choose_device
from ltr.common.errors import UserError, cli_main
from ltr.evaluation.calibration import held_out_densities, report
from ltr.models.bbreg import load_atom_net
from ltr.train_settings.bbreg.common import BBRegSettings, validation_pairs
from ltr.train_settings.registry import load_settings


@cli_main
def main(argv: list[str] | None = None) -> int:
    """Returns 0."""
    argv = sys.argv[1:] if argv is None else argv
    status = usage_status(argv, 2, str(__doc__))
    if status is not None:
        return status
    name, network = argv[:2]
    recipe = load_settings("bbreg", name)
    settings: BBRegSettings = parse_settings(recipe, f"ebm-calibrate {name} {network}", argv[2:])
    if settings.loss == "iou":
        raise UserError(f"'{name}' is trained to predict an IoU; only a network trained by likelihood has a density")
    device = choose_device(settings.device)
    net = load_atom_net(Path(network), settings.backbone_weights, settings.model.backbone).to(device).eval()
    actor = BBRegActor(net, settings.proposals, settings.loss, settings.refinement).eval()
    sets = validation_pairs(settings)
    print(report({each: held_out_densities(actor, pairs, device, each) for each, pairs in sets.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
