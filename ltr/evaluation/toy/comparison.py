"""Comparison of training methods on the toy problem, as in Gustafsson et al. (BMVC 2020).

It has that paper's network, its constants for each method, and KL(p_true || p_model) on a 2048 x 2048 grid. Of 20 seeds
it reports the mean of the best five, otherwise mean and standard deviation of all.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
import statistics
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ltr.actors.regression import EnergyLossSettings
from ltr.common.files import read_text, write_json, write_text, writing
from ltr.common.provenance import device_name, provenance
from ltr.common.seeds import seed_for_build
from ltr.common.settings import ScheduleSettings
from ltr.dataset.toy import TOY_DENSITIES
from ltr.evaluation.toy.divergence import kl_divergence, model_log_density, true_log_density
from ltr.evaluation.trainings.calls import do_calls
from ltr.train_settings.toy import ebm, gaussian
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
"""The paper's names of the methods; the keys are the names of the losses."""
PAPER_SEEDS = 20
_REMEDY = "choose another --workspace"
_BEST = 5  # of the paper's seeds

RunKey = tuple[str, str, int]
"""Data set, method and seed of a run."""


def method_settings(method: str, data: str) -> Any:
    """The settings of a method on a data set: the constants of the BMVC 2020 paper's published code.

    Only the widths of dsm and the steps of mcmc differ between data sets.
    """
    settings: Any
    if method == "gaussian":
        settings = gaussian.settings()
    else:
        settings = ebm.settings()
        settings.net = "smooth"
        second = data == "2"
        kind: Any = method
        settings.loss = EnergyLossSettings(
            kind=kind,
            num_samples=1024,
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


class ToyComparison:
    """Trains each method with each seed, and keeps the results of finished runs in a file.

    Args:
        folder: of results and runs; created if it does not exist.
        epochs: of each training.
        num_samples: M, samples or Langevin chains of each label.

    Attributes:
        results: of finished runs with these `epochs` and `num_samples`.
        failures: a sentence for each run that failed.
        stop_signal: the signal that stopped the comparison, or None.

    Raises:
        UserError: if the folder cannot be created.
    """

    def __init__(self, folder: Path, epochs: int, num_samples: int) -> None:
        self.folder, self.epochs, self.num_samples = folder, epochs, num_samples
        self.failures: list[str] = []
        self.stop_signal: int | None = None
        with writing(folder, "choose another --workspace"):
            folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "results.jsonl"
        self.results = read_results(self._file, epochs, num_samples)

    def run(self, wanted: Sequence[RunKey], jobs: int = 1, **how: Any) -> None:
        """Trains the runs that have no result yet, until a signal stops it.

        Args:
            jobs: how many at once.
            how: further arguments of :func:`ltr.evaluation.trainings.calls.do_calls`.
        """
        todo = [key for key in wanted if key not in self.results]
        with tqdm(total=len(wanted), initial=len(wanted) - len(todo), unit="run", dynamic_ncols=True) as bar:

            def finish(key: RunKey, future: Future, stopped: bool) -> None:
                bar.update()
                error = future.exception()
                if error is not None or future.result() is None:
                    if not stopped:  # such as a loss that is not finite; the other runs continue
                        self.failures.append(f"{_name(key)} failed: {error or 'it was stopped from outside'}")
                    return
                self.results[key] = future.result()
                with writing(self.folder, _REMEDY), open(self._file, "a", encoding="utf-8") as file:
                    file.write(json.dumps(self.results[key]) + "\n")

            train = partial(train_run, self.folder, self.epochs, self.num_samples)
            self.stop_signal = do_calls(train, todo, finish, jobs, **how)

    def write_table(self, rows: Sequence[dict[str, Any]]) -> str:
        """Writes the table as text, LaTeX and JSON; returns the text."""
        table = text_table(rows)
        about = {"epochs": self.epochs, "num_samples": self.num_samples, **provenance()}
        with writing(self.folder, _REMEDY):
            write_text(self.folder / "table.txt", table + "\n")
            write_text(self.folder / "table.tex", latex_table(rows) + "\n")
            write_json(self.folder / "table.json", {"rows": rows, **about})
        return table


def train_run(folder: Path, epochs: int, num_samples: int, key: RunKey) -> dict[str, Any] | None:
    """The result of a run, which it trains; None if a signal stopped it.

    Raises:
        UserError: if the training fails.
    """
    data, method, seed = key
    settings = method_settings(method, data)
    settings.seed, settings.epochs = seed, epochs
    if method != "gaussian":
        settings.loss.num_samples = num_samples
    seed_for_build(seed)
    task = (gaussian if method == "gaussian" else ebm).build(settings)
    run = folder / "runs" / f"{data}-{method}-{seed}-{epochs}-{num_samples}"
    trainer = Trainer(settings, task, run, method)
    with contextlib.redirect_stdout(io.StringIO()):  # the trainer prints a line about every epoch
        finished = trainer.train()
    if not finished:
        return None
    divergence = kl_divergence(true_log_density(TOY_DENSITIES[data]), model_log_density(trainer.model))
    return {
        "data": data,
        "method": method,
        "seed": seed,
        "epochs": epochs,
        "num_samples": num_samples,
        "kl": dataclasses.asdict(divergence),
        "seconds": round(sum(line["seconds"] for line in trainer.history), 2),
        "device": device_name(trainer.fabric.device),
    }


def _name(key: RunKey) -> str:
    data, method, seed = key
    return f"set {data}, {METHODS[method]}, seed {seed}"


def read_results(file: Path, epochs: int, num_samples: int) -> dict[RunKey, dict[str, Any]]:
    """The results of runs with `epochs` and `num_samples` in a results file.

    An incomplete last line, as a killed process leaves it, is skipped, and ended so that the next line stays whole.
    """
    if not file.exists():
        return {}
    text = read_text(file)
    if text and not text.endswith("\n"):
        with open(file, "a", encoding="utf-8") as opened:
            opened.write("\n")
    found = {}
    for i, line in enumerate(text.splitlines(), 1):
        try:
            r = json.loads(line)
            key = r["data"], r["method"], r["seed"]
            samples = r["num_samples"] if "num_samples" in r else r["number"]  # 'number' in files of earlier versions
            if (r["epochs"], samples) == (epochs, num_samples):
                found[key] = r
        except (ValueError, KeyError, TypeError):
            logging.getLogger(__name__).warning("%s, line %d is no result; it is skipped", file, i)
    return found


def summarise(results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each data set and method, in the order of METHODS: KL and seconds.

    KL is that of the best five runs if there are 20, otherwise of all.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for r in results:
        groups.setdefault((r["data"], r["method"]), []).append(r)
    rows = []
    order = list(METHODS)
    for (data, method), runs in sorted(groups.items(), key=lambda item: (item[0][0], order.index(item[0][1]))):
        kl = sorted(r["kl"]["all"] for r in runs)
        if len(kl) == PAPER_SEEDS:
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
    """The rows as a tabular: one line for each method, KL and seconds of each data set, the smallest KL in bold."""
    sets = list(dict.fromkeys(r["data"] for r in rows))
    by_key = {(r["data"], r["method"]): r for r in rows}
    best = {data: min(r["kl"] for r in rows if r["data"] == data) for data in sets}
    lines = [r"\begin{tabular}{l" + "rr" * len(sets) + "}"]
    titles = (f"\\multicolumn{{2}}{{c}}{{Set {data.replace('_', ' ')}}}" for data in sets)
    lines.append(" & ".join(["", *titles]) + r" \\")
    lines.append(" & ".join(["Method", *["KL", "Time (s)"] * len(sets)]) + r" \\ \hline")
    for method in METHODS:
        if any((data, method) in by_key for data in sets):
            cells = [cell for data in sets for cell in _latex_cells(by_key.get((data, method)), best[data])]
            lines.append(" & ".join([METHODS[method], *cells]) + r" \\")
    return "\n".join([*lines, r"\end{tabular}"])


def _latex_cells(row: dict[str, Any] | None, best: float) -> Iterator[str]:
    """KL and seconds of a row."""
    if row is None:
        yield from ("--", "--")
        return
    kl = f"{row['kl']:.3f}"
    kl = rf"\textbf{{{kl}}}" if row["kl"] == best else kl
    yield kl + ("" if row["kl_std"] is None else rf" $\pm$ {row['kl_std']:.3f}")
    yield f"{row['seconds']:.0f}"
