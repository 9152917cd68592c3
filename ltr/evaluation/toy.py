"""The toy of Appendix B: how far the densities of Figure 2 are from the truth, over the runs of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro
from tqdm import tqdm

from ltr.common.environment import get_path
from ltr.common.errors import UserError
from ltr.common.files import write_json, write_text
from ltr.common.provenance import provenance
from ltr.common.settings import differences
from ltr.dataset.toy import TOY_DENSITIES
from ltr.evaluation.tables import Mean, Table
from ltr.train_settings.registry import load_settings
from ltr.train_settings.toy.evaluation import CELLS, kl_divergence, model_log_density, true_log_density
from ltr.train_settings.toy.report import read_model

_COLUMNS = {"all": "KL", "negative": "x < 0", "positive": "x >= 0"}
_TRAIN = "python ltr/run_training.py toy ebm"
_SYSTEMS = {"gaussian": "Gaussian", "ebm": "Energy-based"}


@dataclass
class Options:
    """What is evaluated, and where."""

    runs: tuple[Path, ...] = ()
    """Folders of runs, or runs; by default all of the toy in the workspace."""
    out: Path | None = None
    """Folder of the table as text, JSON and LaTeX; by default one in the workspace."""
    workspace: Path | None = None
    """Where runs and results lie."""


class _Nats(Mean):
    """With four digits."""

    def text(self) -> str:
        return f"{self.value:.4f}" + ("" if self.error is None else f" ± {self.error:.4f}")


def main(argv: list[str]) -> int:
    """The command `run_evaluation.py toy`; returns 0.

    Runs whose settings differ in nothing but the seed make a row of the table.

    Raises:
        UserError: no run, or a folder that cannot be written.
    """
    options = tyro.cli(Options, args=argv, prog="run_evaluation.py toy")
    workspace = get_path("workspace", options.workspace)
    files, problems = [], []
    for folder in options.runs or [workspace / "checkpoints" / "ltr" / "toy"]:
        for path in _finished(folder):
            if path.suffix == ".pth":
                problems.append(f"left out: {path.parent} is not finished; its training command goes on")
            else:
                files.append(path)
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for file in tqdm(files, unit="run", leave=False, disable=None, dynamic_ncols=True):
        try:
            key, result = _evaluate(file)
        except UserError as error:
            problems.append(f"left out: {error}")
        else:
            rows.setdefault(key, []).append(result)
    if not rows:
        raise UserError(
            "no finished run was found" + "".join(f"; {problem}" for problem in problems[:1]) + f"; train one: {_TRAIN}"
        )
    table = _table(rows, problems)
    print(table.text())
    out = options.out or workspace / "evaluation" / "toy"
    found = [{"data": data, "kind": kind, **result} for (data, kind), results in rows.items() for result in results]
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / "kl.txt", table.text() + "\n")
        write_json(out / "kl.json", provenance(options, results=found, cells=CELLS, notes=table.notes))
        write_text(out / "kl.tex", table.latex())
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}; name another by --out") from error
    print(f"written: {out}/kl.*")
    return 0


def _finished(folder: Path) -> Iterator[Path]:
    """The final weights in a run, or in the runs that a folder holds; the last checkpoint of one that has none.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder} of runs; name one by --runs, or train one: {_TRAIN}")
    for run in [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]:
        yield from sorted(run.glob("*_final.safetensors")) or run.glob("last.pth")


def _evaluate(file: Path) -> tuple[tuple[str, str], dict[str, Any]]:
    """The data and the kind of a run, and its result: the divergence (nats), the run's name and its seed.

    Raises:
        UserError: the file is damaged or something else.
    """
    system = file.name.removesuffix("_final.safetensors")
    if system not in _SYSTEMS:
        raise UserError(f"{file} holds no network of the toy")
    settings, net = read_model(file)
    own = differences(load_settings("toy", system).settings(), settings)
    kind = [f"{name} {saved}" for name, (saved, _) in sorted(own.items()) if name not in ("data", "seed")]
    divergence = kl_divergence(true_log_density(TOY_DENSITIES[settings["data"]]), model_log_density(net))
    result = {"run": file.parent.name, "seed": settings.get("seed"), "kl": asdict(divergence)}
    return (settings["data"], ", ".join([_SYSTEMS[system], *kind])), result


def _table(rows: dict[tuple[str, str], list[dict[str, Any]]], problems: list[str]) -> Table:
    table = Table("Toy: KL(truth || model) in nats, mean ± standard error over runs", [*_COLUMNS.values(), "runs"])
    for (data, kind), results in sorted(rows.items()):
        means = [_Nats.of([result["kl"][part] for result in results]) for part in _COLUMNS]
        table.rows.append((f"set {data}: {kind}", [*means, str(len(results))]))
    table.notes = [f"On {CELLS} x {CELLS} points of -3 < x, y < 3; settings are named where they are not the usual."]
    table.notes += problems
    return table
