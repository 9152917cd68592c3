"""Experiments: trackers, each run once or several times, on data sets. A function without arguments returns one."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ltr.common.errors import UserError
from pytracking.evaluation.datasets import SequenceList, get_dataset
from pytracking.evaluation.report import RunReport
from pytracking.evaluation.running import TrackerSpec, run_dataset


@dataclass(frozen=True)
class Experiment:
    """Every tracker runs on every sequence.

    Attributes:
        trackers: such as those of :func:`runs`.
        datasets: names of benchmarks, or folders; or the sequences themselves.
    """

    trackers: Sequence[TrackerSpec]
    datasets: Sequence[str] | SequenceList

    def __post_init__(self) -> None:
        if not self.trackers or not all(isinstance(tracker, TrackerSpec) for tracker in self.trackers):
            raise UserError("an experiment needs trackers, such as those of runs('atom', 'ebm', 3)")
        folders = [tracker.results_folder(Path()) for tracker in self.trackers]
        for folder in folders:
            if folders.count(folder) > 1:
                raise UserError(f"two trackers of the experiment write into {folder}; give them a run_id or save_as")

    def sequences(self) -> SequenceList:
        """The sequences of the data sets, as :func:`get_dataset` reads them."""
        return self.datasets if isinstance(self.datasets, SequenceList) else get_dataset(*self.datasets)


def runs(tracker: str, param: str, count: int | None = None, **settings: Any) -> list[TrackerSpec]:
    """A tracker, or `count` numbered runs of it, of which run n has the seed n.

    Args:
        settings: further attributes of each :class:`TrackerSpec`.
    """
    if count is None:
        return [TrackerSpec(tracker, param, **settings)]
    return [TrackerSpec(tracker, param, seed=run, run_id=run, **settings) for run in range(count)]


def load_experiment(module: str, name: str) -> Experiment:
    """The experiment that a function returns; PyTracking's pair of trackers and sequences is one, too.

    Args:
        module: of the package `pytracking.experiments`, or the path of a Python file.
        name: of the function.

    Raises:
        UserError: if there is no such module or function, or it returns something else.
    """
    found = _import(module)
    function = getattr(found, name, None)
    if not callable(function):
        here = [key for key, value in vars(found).items() if getattr(value, "__module__", None) == found.__name__]
        raise UserError(f"{module} has no experiment {name!r}; it has {', '.join(here) or 'none'}")
    experiment = function()
    if isinstance(experiment, tuple) and len(experiment) == 2:
        experiment = Experiment(*experiment)
    if not isinstance(experiment, Experiment):
        raise UserError(f"{name} of {module} returns a {type(experiment).__name__} and not an Experiment")
    return experiment


def _import(module: str) -> ModuleType:
    if module.endswith(".py"):
        file = Path(module).expanduser()
        if not file.is_file():
            raise UserError(f"there is no file {file} of experiments")
        name = f"experiments_in_{file.stem}"  # not the file's own, which may be that of a library
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None and spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        sys.modules[name] = found
        spec.loader.exec_module(found)
        return found
    full = f"pytracking.experiments.{module}"
    try:
        return importlib.import_module(full)
    except ModuleNotFoundError as error:
        if error.name != full:
            raise
        package = importlib.import_module("pytracking.experiments")
        there = ", ".join(each.name for each in pkgutil.iter_modules(package.__path__))
        raise UserError(
            f"there is no module {module!r} in pytracking/experiments, which has {there}; name one of them, or a file"
        ) from None


def run_experiment(experiment: Experiment, results: Path, **options: Any) -> list[tuple[TrackerSpec, RunReport | str]]:
    """Run each tracker after the other; one that cannot be run does not stop the others.

    Args:
        results: root of the results.
        options: of :func:`run_dataset`.

    Returns:
        For each tracker its report, or why it could not be run.
    """
    sequences = experiment.sequences()
    print(sequences.summary())
    done: list[tuple[TrackerSpec, RunReport | str]] = []
    for number, spec in enumerate(experiment.trackers, start=1):
        print(f"{number} of {len(experiment.trackers)}: {spec.results_folder(Path())}")
        try:
            report = run_dataset(list(sequences), spec, results, problems=sequences.problems, **options)
        except UserError as error:
            print(f"failed: {error}", file=sys.stderr)
            done.append((spec, str(error)))
        else:
            print(report.summary())
            done.append((spec, report))
    return done
