"""The table of toy runs: the divergence of the densities of Figure 2 from the truth, over runs of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro
from tqdm import tqdm

from ltr.common.environment import get_path
from ltr.common.errors import UserError
from ltr.common.provenance import provenance
from ltr.common.settings import differences
from ltr.dataset.toy import TOY_DENSITIES
from ltr.evaluation.tables import Mean, Table, write_table
from ltr.evaluation.toy.divergence import NUM_CELLS, kl_divergence, model_log_density, true_log_density
from ltr.evaluation.toy.model_file import SYSTEM_NAMES, read_toy_model
from ltr.train_settings.registry import load_settings

_COLUMNS = {"all": "KL", "negative": "x < 0", "positive": "x >= 0"}
_TRAIN = "ebm-train toy ebm"


@dataclass
class ToyEvaluationOptions:
    """Evaluates all finished runs of the toy; prints and writes a table of their divergence from the truth."""

    runs: tuple[Path, ...] = ()
    """Runs, or folders of runs; default: all runs of the toy in the workspace."""
    out: Path | None = None
    """Folder for the table as text, JSON and LaTeX; default: a folder in the workspace."""
    workspace: Path | None = None
    """Root of runs and results."""


class _Nats(Mean):
    """A mean with four digits."""

    def text(self) -> str:
        return f"{self.value:.4f}" + ("" if self.error is None else f" ± {self.error:.4f}")


def main(argv: list[str]) -> int:
    """The command `ebm-evaluate toy`; returns 0.

    Runs whose settings differ only in the seed share a row of the table.

    Raises:
        UserError: if there is no run, or a folder cannot be written.
    """
    options = tyro.cli(ToyEvaluationOptions, args=argv, prog="ebm-evaluate toy", use_underscores=True)
    workspace = get_path("workspace", options.workspace)
    files, problems = [], []
    for folder in options.runs or [workspace / "checkpoints" / "ltr" / "toy"]:
        for path in _finished(folder):
            if path.suffix == ".pth":
                problems.append(f"skipped: {path.parent} is not finished; its training command continues it")
            else:
                files.append(path)
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for file in tqdm(files, unit="run", leave=False, disable=None, dynamic_ncols=True):
        try:
            key, result = _evaluate(file)
        except UserError as error:
            problems.append(f"skipped: {error}")
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
    write_table(table, out, "kl", provenance(options, results=found, cells=NUM_CELLS, notes=table.notes))
    print(f"written: {out}/kl.*")
    return 0


def _finished(folder: Path) -> Iterator[Path]:
    """The final weights of a run, or of the runs in a folder; the last checkpoint of an unfinished run.

    Raises:
        UserError: if there is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder} of runs; name one by --runs, or train one: {_TRAIN}")
    for run in [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]:
        yield from sorted(run.glob("*_final.safetensors")) or run.glob("last.pth")


def _evaluate(file: Path) -> tuple[tuple[str, str], dict[str, Any]]:
    """The data and the kind of a run, and its result: the divergence (nats), the run's name and its seed.

    Raises:
        UserError: if the file is damaged, or holds no network of the toy.
    """
    system = file.name.removesuffix("_final.safetensors")
    if system not in SYSTEM_NAMES:
        raise UserError(f"{file} holds no network of the toy")
    settings, net = read_toy_model(file)
    own = differences(load_settings("toy", system).settings(), settings)
    kind = [f"{name} {saved}" for name, (saved, _) in sorted(own.items()) if name not in ("data", "seed")]
    divergence = kl_divergence(true_log_density(TOY_DENSITIES[settings["data"]]), model_log_density(net))
    result = {"run": file.parent.name, "seed": settings.get("seed"), "kl": asdict(divergence)}
    return (settings["data"], ", ".join([SYSTEM_NAMES[system], *kind])), result


def _table(rows: dict[tuple[str, str], list[dict[str, Any]]], problems: list[str]) -> Table:
    table = Table("Toy: KL(truth || model) in nats, mean ± standard error over runs", [*_COLUMNS.values(), "runs"])
    for (data, kind), results in sorted(rows.items()):
        means = [_Nats.of([result["kl"][part] for result in results]) for part in _COLUMNS]
        table.rows.append((f"set {data}: {kind}", [*means, str(len(results))]))
    table.notes = [
        f"On {NUM_CELLS} x {NUM_CELLS} points of -3 < x, y < 3; a row names settings that are not the default."
    ]
    table.notes += problems
    return table
