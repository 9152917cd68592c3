"""Train the toy problems by every method and seed, and print how far each is from the truth, and how long it took:

    python ltr/run_toy_comparison.py                      # 20 seeds: a day of one core, most of it for ML-MCMC
    python ltr/run_toy_comparison.py --seeds 3 --number 128 --methods gaussian nll nce_plus --sets 2

This is the comparison of Gustafsson et al., "How to Train Your Energy-Based Model for Regression" (BMVC 2020), in one
dimension: its network, its constants for each method, 75 epochs, KL(p_true || p_model) on a 2048 x 2048 grid; of 20
seeds the mean of the best five is reported, otherwise mean and standard deviation.

What is finished is kept, one line of JSON each, in {workspace}/toy_comparison/results.jsonl, and not done again; what
Ctrl-C or a kill interrupts goes on where it stopped. The table is written beside it as text, JSON and LaTeX.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import logging
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ltr.actors.regression import EnergyLossSettings
from ltr.common.environment import get_path
from ltr.common.errors import UserError, cli_main
from ltr.common.files import write_json, write_text
from ltr.common.provenance import device_name, provenance
from ltr.common.seeds import seed_for_build
from ltr.common.settings import ScheduleSettings
from ltr.dataset.toy import TOY_DENSITIES
from ltr.train_settings.toy import ebm, gaussian
from ltr.train_settings.toy.common import ToySettings
from ltr.train_settings.toy.evaluation import kl_divergence, model_log_density, true_log_density
from ltr.trainers.trainer import Trainer

METHODS = {
    "gaussian": "Gaussian",
    "nll": "ML-IS",
    "kld": "KLD-IS",
    "nce": "NCE",
    "nce_plus": "NCE+",
    "mcmc": "ML-MCMC",
    "dsm": "DSM",
    "sm": "SM",
}
"""Names of the losses, and the paper's names for them."""
_BEST, _OF = 5, 20


def method_settings(method: str, data: str) -> ToySettings:
    """The settings of one method on one set: constants of the BMVC 2020 paper's published code.

    Only the widths of dsm and the steps of mcmc differ between sets.
    """
    if method == "gaussian":
        settings = gaussian.settings()
    else:
        settings = ebm.settings()
        settings.net = "smooth"
        second = data == "2"
        settings.loss = EnergyLossSettings(
            kind=method,
            number=1024,
            sigmas=(0.2, 1.6) if method in ("nll", "kld") else (0.1, 0.8),
            beta=0.025,
            sigma_gt=0.025,
            sigma_dsm=0.075 if second else 0.2,
            langevin_step=0.0125 if second else 0.05,
            langevin_iterations=16,
        )
    settings.optimizer.lr, settings.schedule = 1e-3, ScheduleSettings(gamma=1.0)
    settings.data = data
    settings.val_every = settings.log_every = 10**9
    return settings


@cli_main
def main(argv: list[str] | None = None) -> int:
    """Returns 0 when all is trained, 1 when a run failed, 128 + signal (Ctrl-C: 130) when it was stopped."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--seeds", type=int, default=_OF, metavar="N", help=f"runs of each, seeds 0 .. N - 1 ({_OF})")
    parser.add_argument("--sets", nargs="+", choices=TOY_DENSITIES, default=["1_shifted", "2"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--epochs", type=int, default=75, help="epochs of each training (75)")
    parser.add_argument("--number", type=int, default=1024, help="candidates or chains of each label (1024)")
    parser.add_argument("--workspace", type=Path, help="where results go; default: the workspace of the environment")
    o = parser.parse_args(argv)
    for name in ("seeds", "epochs", "number"):
        if getattr(o, name) < 1:
            raise UserError(f"--{name} is {getattr(o, name)}; it must be at least 1.")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    folder = get_path("workspace", o.workspace) / "toy_comparison"
    file = folder / "results.jsonl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write in {folder}: {error.strerror}. Choose another --workspace.") from error

    done = read_results(file, o.epochs, o.number)
    # Seed by seed: when it is stopped, all methods have about the same number of runs.
    wanted = [(data, method, seed) for seed in range(o.seeds) for data in o.sets for method in o.methods]
    bar = tqdm(wanted, unit="run", dynamic_ncols=True)
    signal, failures = None, []
    for key in bar:
        if key in done:
            continue
        data, method, seed = key
        name = f"set {data}, {METHODS[method]}, seed {seed}"
        bar.set_description(name)
        try:
            signal, result = _train(folder, method, data, seed, o.epochs, o.number)
        except UserError as error:  # a loss that is no longer finite, say: the others go on
            failures.append(f"{name} failed: {error}")
            continue
        if result is None:
            bar.close()
            break
        done[key] = result
        with open(file, "a", encoding="utf-8") as opened:
            opened.write(json.dumps(result) + "\n")

    shown = {key: done[key] for key in wanted if key in done}
    rows = summarise(shown.values())
    _write_table(folder, rows, o.epochs, o.number)
    for failure in failures:
        print(failure, file=sys.stderr)
    if signal is None:
        return int(bool(failures))
    print(f"stopped after {len(shown)} of {len(wanted)} runs; the same command goes on from there")
    return 128 + signal


def read_results(file: Path, epochs: int, number: int) -> dict[tuple[str, str, int], dict[str, Any]]:
    """The runs of `epochs` epochs and `number` candidates that a results file has, by (set, method, seed).

    A line that a kill cut off is left out, and ended so that the next one stays whole.
    """
    if not file.exists():
        return {}
    text = file.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        with open(file, "a", encoding="utf-8") as opened:
            opened.write("\n")
    found = {}
    for i, line in enumerate(text.splitlines(), 1):
        try:
            r = json.loads(line)
            key = r["data"], r["method"], r["seed"]
            if (r["epochs"], r["number"]) == (epochs, number):
                found[key] = r
        except (ValueError, KeyError, TypeError):
            logging.getLogger(__name__).warning("%s, line %d is no result and is passed over.", file, i)
    return found


def summarise(results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each set and method, in the order of METHODS: KL, of the best five if there are 20, and seconds."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for r in results:
        groups.setdefault((r["data"], r["method"]), []).append(r)
    rows = []
    order = list(METHODS)
    for (data, method), runs in sorted(groups.items(), key=lambda item: (item[0][0], order.index(item[0][1]))):
        kl = sorted(r["kl"]["all"] for r in runs)
        if len(kl) == _OF:
            kl = kl[:_BEST]
        rows.append(
            {
                "data": data,
                "method": method,
                "kl": statistics.fmean(kl),
                "kl_std": statistics.pstdev(kl) if len(kl) > 1 else None,
                "kl_runs": len(kl),
                "seconds": statistics.fmean(r["seconds"] for r in runs),
                "runs": len(runs),
            }
        )
    return rows


def text_table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as aligned text."""
    lines = [f"{'set':<10}{'method':<10}{'KL':>8}{'std':>9}{'seconds':>9}  runs"]
    for r in rows:
        of = f"best {r['kl_runs']} of {r['runs']}" if r["kl_runs"] < r["runs"] else str(r["runs"])
        std = "-" if r["kl_std"] is None else f"{r['kl_std']:.4f}"
        lines.append(f"{r['data']:<10}{METHODS[r['method']]:<10}{r['kl']:>8.4f}{std:>9}{r['seconds']:>9.1f}  {of}")
    return "\n".join(lines)


def latex_table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a tabular: a method a line, KL and seconds of each set. The smallest KL of a set is bold."""
    sets = list(dict.fromkeys(r["data"] for r in rows))
    by_key = {(r["data"], r["method"]): r for r in rows}
    best = {data: min(r["kl"] for r in rows if r["data"] == data) for data in sets}
    lines = [r"\begin{tabular}{l" + "rr" * len(sets) + "}"]
    titles = (f"\\multicolumn{{2}}{{c}}{{Set {data.replace('_', ' ')}}}" for data in sets)
    lines.append(" & ".join(["", *titles]) + r" \\")
    lines.append(" & ".join(["Method", *["KL", "Time (s)"] * len(sets)]) + r" \\ \hline")
    for method in METHODS:
        cells = []
        for data in sets:
            r = by_key.get((data, method))
            if r is None:
                cells += ["--", "--"]
                continue
            kl = f"{r['kl']:.3f}"
            kl = rf"\textbf{{{kl}}}" if r["kl"] == best[data] else kl
            std = "" if r["kl_std"] is None else rf" $\pm$ {r['kl_std']:.3f}"
            cells += [kl + std, f"{r['seconds']:.0f}"]
        if any(cell != "--" for cell in cells):
            lines.append(" & ".join([METHODS[method], *cells]) + r" \\")
    return "\n".join([*lines, r"\end{tabular}"])


def _train(
    folder: Path, method: str, data: str, seed: int, epochs: int, number: int
) -> tuple[int | None, dict[str, Any] | None]:
    """One run: the signal that stopped it and no result, or None and the result."""
    settings = method_settings(method, data)
    settings.seed, settings.epochs = seed, epochs
    if method != "gaussian":
        settings.loss.number = number
    seed_for_build(seed)
    task = (gaussian if method == "gaussian" else ebm).build(settings)
    run = folder / "runs" / f"{data}-{method}-{seed}-{epochs}-{number}"
    trainer = Trainer(settings, task, run, method)
    with contextlib.redirect_stdout(io.StringIO()):  # its lines about every epoch
        finished = trainer.train()
    if not finished:
        return trainer.stop_signal, None
    divergence = kl_divergence(true_log_density(TOY_DENSITIES[data]), model_log_density(trainer.model))
    return None, {
        "data": data,
        "method": method,
        "seed": seed,
        "epochs": epochs,
        "number": number,
        "kl": dataclasses.asdict(divergence),
        "seconds": round(sum(line["seconds"] for line in trainer.history), 2),
        "device": device_name(trainer.fabric.device),
    }


def _write_table(folder: Path, rows: list[dict[str, Any]], epochs: int, number: int) -> None:
    if not rows:
        return
    table = text_table(rows)
    write_text(folder / "table.txt", table + "\n")
    write_text(folder / "table.tex", latex_table(rows) + "\n")
    write_json(folder / "table.json", {"rows": rows, "epochs": epochs, "number": number, **provenance()})
    print(f"{table}\nKL(truth || model) in nats. The table as text, LaTeX and JSON: {folder}/table.*")


if __name__ == "__main__":
    sys.exit(main())
