"""Exports the head of a training's checkpoint: a small file, which the tracker loads and which is shipped.

    python -m ltr.models.bbreg.export workspace/checkpoints/ltr/bbreg/ebm/best.pth ebm.safetensors

The file does not contain the frozen backbone. Its header describes the training.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ltr.common.errors import cli_main
from ltr.models.bbreg.atom import load_atom_net, save_head


@cli_main
def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ltr.models.bbreg.export", description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="of ebm-train (.pth or .safetensors), or of PyTracking")
    parser.add_argument("output", type=Path, help="the .safetensors to write")
    parser.add_argument(
        "--full_precision", action="store_true", help="float32 instead of half precision (twice the size)"
    )
    arguments = parser.parse_args(argv)
    if arguments.output.suffix != ".safetensors":
        parser.error(f"the output must end in .safetensors, which identifies its format: {arguments.output}")

    net = load_atom_net(arguments.checkpoint)
    notes = {"source": arguments.checkpoint.name, **net.notes}
    if "settings" in notes:
        # folders of the machine of the training are useless elsewhere
        settings = {
            k: v for k, v in json.loads(notes["settings"]).items() if k not in ("workspace", "backbone_weights")
        }
        notes["settings"] = json.dumps(settings)
    save_head(net, arguments.output, not arguments.full_precision, notes)
    print(f"{arguments.output}: {net.config.backbone}, {arguments.output.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
