"""ebm-vot: a tracker for the VOT toolkit.

With --workspace, the tracker is added to the toolkit's trackers.ini; `vot test` and `vot evaluate` then start this
command themselves and speak with it in the TraX protocol. Options that this command does not know change the tracker's
settings.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ltr.common.command_line import CommandParser, non_negative_int
from ltr.common.errors import cli_main
from pytracking.commands.options import SETTINGS_HELP, add_computing, add_tracker, parse, tracebacks
from pytracking.evaluation.vot import serve, trax_library
from pytracking.evaluation.vot_workspace import add_tracker as add_to_workspace
from pytracking.evaluation.vot_workspace import entry, identifier


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="ebm-vot",
        usage="ebm-vot tracker_name tracker_param --workspace FOLDER [options] [--<setting> value ...]",
        description="Add a tracker to a workspace of the VOT toolkit, which then runs it.",
        examples=f"""{SETTINGS_HELP}

Without --workspace, this is the tracker that the toolkit starts.

example:
  ebm-vot atom ebm --workspace vot2022
  vot configure --workspace vot2022 vot2022/shorttermbox
  vot --registry vot2022 test atom_ebm
  vot evaluate --workspace vot2022 atom_ebm
  vot analysis --workspace vot2022 atom_ebm""",
    )
    add_tracker(parser)
    add_computing(parser)
    parser.add_argument("--workspace", type=Path, metavar="FOLDER", help="folder of the toolkit's trackers.ini")
    parser.add_argument("--save_as", metavar="NAME", help="name for the toolkit, in place of the parameter's")
    parser.add_argument(
        "--runid", "--run_id", type=non_negative_int, metavar="N", help="number of this run: a name of its own"
    )
    parser.add_argument(
        "--debug", type=non_negative_int, default=0, metavar="LEVEL", help="1: show the traceback of every failure"
    )
    return parser


@cli_main
def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for and return the exit code."""
    options, spec = parse(_parser(), argv)
    name = identifier(spec)
    with tracebacks(options.debug):
        if options.workspace is None:
            serve(spec, name)
            return 0
        trax_library()  # the toolkit would only say that the tracker does not start
        spec.made_with()  # so that a network that is missing is missed now
        folder = options.workspace.expanduser()
        file = add_to_workspace(folder, name, entry(spec, "pytracking.commands.vot"))
    print(f"{name} is in {file}. Next, with the VOT toolkit:")
    where = shlex.quote(str(folder))
    if not (folder / "config.yaml").is_file():
        print(f"  vot configure --workspace {where} vot2022/shorttermbox")
    print(f"  vot --registry {where} test {name}\n  vot evaluate --workspace {where} {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
