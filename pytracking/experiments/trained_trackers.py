"""Box predictors that are trained, run in the tracker and scored, for one table: Table S2 and its like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ltr.cluster.connection import Cluster
from ltr.common.errors import UserError
from ltr.common.plain import to_plain
from ltr.common.provenance import provenance
from ltr.evaluation.departures import departures, departures_note
from ltr.evaluation.runs import check_made_with
from ltr.evaluation.tables import Mean, Table
from ltr.evaluation.trainings.training import Training
from ltr.train_settings.bbreg.common import BBRegSettings
from ltr.train_settings.registry import load_settings
from pytracking.analysis.score_report import TrackerScore
from pytracking.analysis.scoring import score_results
from pytracking.analysis.tracker_results import find_results
from pytracking.evaluation.datasets import SequenceList
from pytracking.evaluation.results import ResultFolder
from pytracking.evaluation.running import TrackerSpec, run_dataset
from pytracking.factory import tracker_settings

COLUMNS = {"OP50": "op50", "OP75": "op75", "AUC": "auc"}
TABLE_S2 = {
    (0.05,): (75.77, 45.72, 63.37),
    (0.01, 0.1): (77.25, 46.09, 61.48),
    (0.03, 0.3): (79.27, 48.59, 63.65),
    (0.05, 0.5): (79.90, 48.71, 64.10),
    (0.07, 0.7): (78.41, 47.72, 62.75),
}
"""The paper's OP50, OP75 and AUC on OTB-100 and NFS together, by the standard deviations of the proposal."""


@dataclass(frozen=True)
class TrainedTracker:
    """A row of the table.

    Attributes:
        title: of the row.
        label: names its folders.
        system: of `ebm-train bbreg`.
        param: parameter file of the tracker atom.
        settings: of the training; the seed is set for each run.
        paper: the paper's OP50, OP75 and AUC; None if it has none.
    """

    title: str
    label: str
    system: str
    param: str
    settings: BBRegSettings
    paper: tuple[float, float, float] | None = None


class TrackerTable:
    """Trainings, results and scores of the rows. What is finished is kept and not done again.

    Args:
        rows: with different labels.
        seeds: of the trainings; each run of the tracker has the seed of its training, and its number.
        runs: folder of the trainings, {label}_{seed} each.
        results: root of the tracking results, atom/{label}_{seed:03d} each.
        overrides: settings of all trackers, as on a command line.
    """

    def __init__(
        self, rows: Sequence[TrainedTracker], seeds: Sequence[int], runs: Path, results: Path, overrides: Sequence[str]
    ) -> None:
        self.rows, self.seeds, self.runs, self.results = rows, seeds, runs, results
        self.overrides = tuple(overrides)

    @property
    def trainings(self) -> list[Training]:
        """All of them, seed by seed."""
        return [
            Training("bbreg", row.system, self._settings(row, seed), self._weights(row, seed).parent)
            for _, row, seed in self._all()
        ]

    def track(self, dataset: SequenceList, threads: int, overwrite: bool, cluster: Cluster | None = None) -> list[str]:
        """Run all trackers, see :func:`run_dataset`; returns a sentence for each sequence that failed.

        Raises:
            UserError: if a network is not trained yet, or a results folder has results of another network or settings.
            KeyboardInterrupt: after Ctrl-C; finished sequences are kept.
        """
        failed: list[str] = []
        for number, row, seed in self._all():
            weights = self._weights(row, seed)
            if not weights.is_file():
                raise UserError(
                    f"{row.title}, seed {seed}, is not trained: there is no {weights}; leave out --only track"
                )
            check_made_with(self._settings(row, seed), weights)
            print(f"--- tracking {number}: {row.title}, seed {seed}")
            report = run_dataset(
                list(dataset), self.spec(row, seed), self.results, threads=threads, cluster=cluster, overwrite=overwrite
            )
            print(report.summary())
            failed += [f"{row.title}, seed {seed}, {name}: {cause}" for name, cause in report.failed.items()]
        return failed

    def spec(self, row: TrainedTracker, seed: int) -> TrackerSpec:
        """The tracker of a run: the row's parameter file with the trained network."""
        device = None if row.settings.device == "auto" else row.settings.device
        network = ("--network", str(self._weights(row, seed).resolve()))
        return TrackerSpec("atom", row.param, device, seed, (*network, *self.overrides), seed, row.label)

    def table(self, dataset: SequenceList) -> tuple[Table, dict[str, Any]]:
        """The table of all finished runs, and its record for JSON.

        Raises:
            UserError: if the data set's ground truth is not public, so that nothing can be scored.
        """
        table = Table(
            f"{dataset.title}, {len(dataset)} sequences: percent, mean ± standard error over runs",
            [*COLUMNS, "runs", *COLUMNS],
            [("here", len(COLUMNS) + 1), ("paper (OTB and NFS)", len(COLUMNS))],
        )
        unfinished: list[str] = []
        said: dict[str, None] = {}
        record: dict[str, Any] = {}
        for row in self.rows:
            runs: list[dict[str, float]] = []
            for seed in self.seeds:
                score, notes = self._score(row, seed, dataset)
                if score is None:
                    unfinished += notes
                    continue
                said.update(dict.fromkeys(notes))
                values = {name: 100 * (score.scalars()[key] or 0.0) for name, key in COLUMNS.items()}
                runs.append(values)
                record[f"{row.label}_{seed:03d}"] = {"folder": str(score.folders[0]), **values}
            here = [Mean.of([run[name] for run in runs]) if runs else None for name in COLUMNS]
            paper = [Mean(value) for value in row.paper] if row.paper else [None] * len(COLUMNS)
            table.rows.append((row.title, [*here, str(len(runs)), *paper]))
        table.notes = [*self._notes(dataset), *unfinished, *said]
        about = provenance(
            trainings={row.label: to_plain(row.settings) for row in self.rows},
            trackers={row.label: to_plain(self._tracker(row)) for row in self.rows},
            runs=record,
            paper={row.label: row.paper for row in self.rows},
            notes=table.notes,
        )
        return table, about

    # --- one run

    def _all(self) -> Iterator[tuple[str, TrainedTracker, int]]:
        """'3 of 5', row and seed of each run; all rows of a seed before the next seed."""
        pairs = [(row, seed) for seed in self.seeds for row in self.rows]
        for number, (row, seed) in enumerate(pairs, 1):
            yield f"{number} of {len(pairs)}", row, seed

    def _weights(self, row: TrainedTracker, seed: int) -> Path:
        return self.runs / f"{row.label}_{seed}" / f"{row.system}_final.safetensors"

    def _settings(self, row: TrainedTracker, seed: int) -> BBRegSettings:
        return replace(row.settings, seed=seed)

    def _tracker(self, row: TrainedTracker) -> Any:
        return tracker_settings("atom", row.param, self.overrides)

    def _score(self, row: TrainedTracker, seed: int, dataset: SequenceList) -> tuple[TrackerScore | None, list[str]]:
        """The score of a run, and notes on it; None if it is not complete, and the note says so."""
        run = f"{row.title}, seed {seed}"
        spec = self.spec(row, seed)
        made_with = spec.made_with() if self._weights(row, seed).is_file() else None
        folder = ResultFolder(spec.results_folder(self.results), made_with or {})
        finished = sum(folder.is_finished(sequence)[0] for sequence in dataset)
        if finished < len(dataset):
            return None, [f"Not finished: {run}, {finished} of {len(dataset)} sequences."]
        other = folder.difference() if made_with else None
        if other:
            return None, [f"Left out: {run}, whose results are of another tracker ({other}); --overwrite repeats them."]
        name = f"atom/{folder.path.name}"
        results = find_results(self.results, [sequence.name for sequence in dataset], [name])
        report = score_results(dataset.title, list(dataset), results)
        if not report.sequences:
            raise UserError(f"{dataset.title} cannot be scored here: {report.notes[0]}")
        return report.trackers[0], [note.replace(name, run) for note in report.notes]

    # --- notes

    def _notes(self, dataset: SequenceList) -> list[str]:
        """Data, refinement, and every setting that is not the paper's."""
        parts = dataset.parts or (dataset,)
        notes = [f"{part.summary()}." for part in parts if part.expected and len(part) < part.expected]
        notes += [f"{name} is left out: {problem}" for name, problem in dataset.problems.items()]
        refined: dict[str, list[str]] = {}
        for row in self.rows:
            r = self._tracker(row).refinement
            steps = (
                f"T = {r.iterations}, lambda = {r.step[0]:g} and {r.step[1]:g} (position and size), in {r.space} units"
            )
            refined.setdefault(steps, []).append(row.title)
        notes += [f"Refinement of {', '.join(titles)}: {steps}." for steps, titles in refined.items()]
        trained, tracked = [], []
        for row in self.rows:
            trained.append((row.settings, load_settings("bbreg", _papers(row.system)).settings()))
            tracked.append((self._tracker(row), tracker_settings("atom", _papers(row.param))))
        notes += departures_note(departures(trained, ["seed", "proposals.sigmas"]), "Training")
        notes += departures_note(departures(tracked, ["network", "density"]), "Tracker")
        return notes


def _papers(name: str) -> str:
    """The system or parameter file on the paper's backbone that belongs to one on any."""
    return name if name.endswith("_resnet18") else f"{name}_resnet18"
