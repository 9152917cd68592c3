"""Exports a trained network: its head, which the tracker loads and which is shipped, or graphs for other programs.

    python -m ltr.models.bbreg.export workspace/checkpoints/ltr/bbreg/ebm/best.pth ebm.safetensors
    python -m ltr.models.bbreg.export ebm.safetensors graphs --onnx --pt2

The head's file does not contain the frozen backbone; its header describes the training. The graphs are described in
graphs.py. `ebm-export-network` is this command, and also knows the shipped heads by name.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ltr.common.command_line import CommandParser
from ltr.common.errors import cli_main
from ltr.models.bbreg.atom import AtomNet, load_atom_net, save_head
from ltr.models.bbreg.graph_files import write_graphs

_EXAMPLES = """\
examples:
  ebm-export-network workspace/checkpoints/ltr/bbreg/ebm/best.pth mine.safetensors
  ebm-export-network ebm_efficientnet_lite0.safetensors graphs --onnx
  ebm-export-network mine.safetensors graphs --pt2

graphs: backbone, modulation, encode and energy, with its gradient; docs/export.md describes them."""


@cli_main
def main(argv: Sequence[str] | None = None, find: Callable[[str], Path] = Path) -> int:
    """The command. `find` turns the name of a network into its file."""
    parser = CommandParser(
        prog="ebm-export-network",
        description="Export a trained box network: its head for the tracker, or graphs for other programs.",
        examples=_EXAMPLES,
    )
    parser.add_argument("checkpoint", help="of ebm-train (.pth or .safetensors), of PyTracking, or an exported head")
    parser.add_argument("output", type=Path, help="the .safetensors to write, or the folder for graphs")
    parser.add_argument("--onnx", action="store_true", help="write graphs as ONNX files; needs the extra 'onnx'")
    parser.add_argument("--pt2", action="store_true", help="write graphs as programs of torch.export")
    parser.add_argument(
        "--full_precision", action="store_true", help="a head in float32 instead of half precision (twice the size)"
    )
    arguments = parser.parse_args(argv)
    output: Path = arguments.output
    formats = [name for name in ("onnx", "pt2") if getattr(arguments, name)]
    if formats and arguments.full_precision:
        parser.error("--full_precision is for a head; graphs are always in float32")
    if formats and output.suffix in (".onnx", ".pt2", ".safetensors"):
        parser.error(f"the output must be a folder, for several files: {output}")
    if not formats and output.suffix != ".safetensors":
        parser.error(f"the output must end in .safetensors, or add --onnx or --pt2 to write graphs: {output}")

    checkpoint = find(arguments.checkpoint)
    net = load_atom_net(checkpoint)
    if formats:
        for line in write_graphs(net, checkpoint.name, output, formats):
            print(line, flush=True)
    else:
        _export_head(net, checkpoint.name, output, not arguments.full_precision)
    return 0


def _export_head(net: AtomNet, source: str, output: Path, half: bool) -> None:
    notes = {"source": source, **net.notes}
    if "settings" in notes:
        # folders of the machine of the training are useless elsewhere
        settings = {
            k: v for k, v in json.loads(notes["settings"]).items() if k not in ("workspace", "backbone_weights")
        }
        notes["settings"] = json.dumps(settings)
    save_head(net, output, half, notes)
    print(f"{output}: {net.config.backbone}, {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
