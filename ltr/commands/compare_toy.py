"""Compare methods to train an energy-based model on the toy problem: divergence and time.

    ebm-compare-toy  # 20 seeds: a day of one core, most of it for ML-MCMC
    ebm-compare-toy --seeds 3 --num_samples 128 --methods gaussian nll nce_plus --sets 2

This is the comparison of Gustafsson et al., "How to Train Your Energy-Based Model for Regression"
(BMVC 2020), in one dimension. It reports KL(p_true || p_model): the mean of the best five of 20
seeds, otherwise mean and standard deviation. Results are in {workspace}/toy_comparison: one line of
JSON for each run in results.jsonl, and the table as text, JSON and LaTeX. A stopped comparison
continues with the same command.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from ltr.common.command_line import CommandParser
from ltr.common.environment import get_path
from ltr.common.errors import UserError, cli_main
from ltr.dataset.toy import TOY_DENSITIES
from ltr.evaluation.toy.comparison import METHODS, PAPER_SEEDS, ToyComparison, summarise
from ltr.evaluation.trainings.spread import add_jobs, spread


@cli_main
def main(argv: list[str] | None = None) -> int:
    """Returns 0 if all runs are trained, 1 if a run failed, 128 + signal (Ctrl-C: 130) if it was stopped."""
    parser = CommandParser(prog="ebm-compare-toy", description=__doc__)
    parser.add_argument("--seeds", type=int, default=PAPER_SEEDS, metavar="N", help="seeds 0 .. N - 1 (%(default)s)")
    parser.add_argument("--sets", nargs="+", choices=TOY_DENSITIES, default=["1_shifted", "2"], metavar="SET",
                        help=f"data sets, of {', '.join(TOY_DENSITIES)} (1_shifted 2)")  # fmt: skip
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD",
                        help=f"of {', '.join(METHODS)} (all)")  # fmt: skip
    parser.add_argument("--epochs", type=int, default=75, metavar="N", help="epochs of each training (%(default)s)")
    parser.add_argument("--num_samples", type=int, default=1024, metavar="M",
                        help="samples or Langevin chains of each label (%(default)s)")  # fmt: skip
    add_jobs(parser)
    parser.add_argument("--workspace", type=Path, metavar="FOLDER", help="root of the results (the environment's)")
    o = parser.parse_args(argv)
    for name in ("seeds", "epochs", "num_samples"):
        if getattr(o, name) < 1:
            raise UserError(f"--{name} is {getattr(o, name)}; it must be at least 1.")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")

    comparison = ToyComparison(get_path("workspace", o.workspace) / "toy_comparison", o.epochs, o.num_samples)
    # seed by seed, so that all methods have about as many runs whenever the comparison is stopped
    wanted = [(data, method, seed) for seed in range(o.seeds) for data in o.sets for method in o.methods]
    with spread(o, comparison.folder / "runs", "auto", len(wanted)) as (jobs, how):
        comparison.run(wanted, jobs, **how)
    finished = [comparison.results[key] for key in wanted if key in comparison.results]
    if finished:
        print(comparison.write_table(summarise(finished)))
        print(f"KL(truth || model) in nats. The table as text, LaTeX and JSON: {comparison.folder}/table.*")
    for failure in comparison.failures:
        print(failure, file=sys.stderr)
    if comparison.stop_signal is None:
        return int(bool(comparison.failures))
    print(f"stopped after {len(finished)} of {len(wanted)} runs; the same command continues")
    return 128 + comparison.stop_signal


if __name__ == "__main__":
    sys.exit(main())
