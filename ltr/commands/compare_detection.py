"""Train ten detectors that differ in how they regress boxes, and score them by COCO's AP, in one command on a CPU:

    python ltr/run_detection_comparison.py                 # generated images: about an hour of one core
    python ltr/run_detection_comparison.py --table s1      # the EBM with 18 proposal distributions: Table S1
    python ltr/run_detection_comparison.py --table s1 --seeds 2 --sigmas .15 .3 .0375,.15
    python ltr/run_detection_comparison.py --seeds 3 --systems direct ebm

A small Faster-RCNN (EfficientNet-Lite0 under a feature pyramid) is trained for each seed, then the part that each
system adds to it. The step-lengths of those that climb are chosen, as in the paper, by a grid search, on images that
are not in the table. `ltr/run_training.py detection <system>` trains the paper's ResNet-50 detectors on COCO.

Runs are in {workspace}/checkpoints/ltr/detection_small, tables (text, JSON, LaTeX), detections and a contact sheet in
{workspace}/detection_comparison. What is finished is not done again: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import logging
import math
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ltr.common.device import choose_device
from ltr.common.environment import get_path
from ltr.common.errors import UserError, cli_main
from ltr.common.files import write_json, write_text
from ltr.common.provenance import file_hash, provenance
from ltr.common.seeds import seed_for_build
from ltr.common.settings import differences
from ltr.dataset import DetectionImages, read_coco_detection
from ltr.dataset.generated.detection_set import write_generated_detection
from ltr.evaluation.detection import UNREFINED, draw_sheet, make_table
from ltr.evaluation.detection_result import DetectionResult, evaluate
from ltr.evaluation.step_search import search_steps
from ltr.evaluation.tables import Mean, Table
from ltr.models.detection import SYSTEMS, DetectionRefinementSettings, Detector, load_detector
from ltr.models.weights_file import read_safetensors
from ltr.train_settings.detection import DetectionSettings, build, images
from ltr.train_settings.small_detection import small
from ltr.trainers.trainer import Trainer

TABLE_S1 = {
    (0.01875,): 38.07,
    (0.0375,): 38.47,
    (0.075,): 37.52,
    (0.15,): 35.05,
    (0.025, 0.1): 38.97,
    (0.0375, 0.15): 39.05,
    (0.04375, 0.175): 39.07,
    (0.05, 0.2): 39.02,
    (0.0125, 0.025): 38.19,
    (0.025, 0.05): 38.65,
    (0.075, 0.15): 37.14,
    (0.0125, 0.025, 0.05): 38.61,
    (0.025, 0.05, 0.1): 38.95,
    (0.0375, 0.075, 0.15): 39.11,
    (0.04375, 0.0875, 0.175): 39.00,
    (0.05, 0.1, 0.2): 38.76,
    (0.0625, 0.125, 0.25): 37.96,
    (0.075, 0.15, 0.3): 37.42,
}
"""Standard deviations of the proposal's components, and the paper's AP on COCO's validation images."""
_TUNING_IMAGES = 100


class _Stopped(Exception):
    """A signal ended a training, whose state is saved."""


@cli_main
def main(argv: list[str] | None = None) -> int:
    """Returns 0 when the table is complete, 128 + signal (Ctrl-C: 130) when it has only what was done until then."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--table", choices=("systems", "s1"), default="systems")
    parser.add_argument("--sigmas", nargs="+", type=_sigmas, default=list(TABLE_S1), metavar="S",
                        help="rows of --table s1: '.3 .0375,.15' are two (the paper's 18)")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="runs of each, seeds 0 .. N - 1 (1)")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--samples", type=int, default=800, metavar="N", help="training images of an epoch (800)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--workspace", type=Path, help="where all goes; default: the workspace of the environment")
    o = parser.parse_args(argv)
    if o.seeds < 1 or o.samples < 8:
        raise UserError(f"--seeds must be at least 1 and --samples at least 8 (a batch), got {o.seeds} and {o.samples}")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    comparison = Comparison(get_path("workspace", o.workspace), o.device, o.samples)
    table = comparison.table_s1(o.sigmas, o.seeds) if o.table == "s1" else comparison.systems(o.systems, o.seeds)
    if table.rows:
        print(table.text())
        for path in comparison.write(table, o.table):
            print(f"written: {path}")
    if comparison.stop_signal is None:
        return 0
    print("stopped; the same command goes on from there")
    return 128 + comparison.stop_signal


class Comparison:
    """Trainings and results in a workspace.

    Args:
        workspace: their folder.
        device: as of a training.
        samples: training images of an epoch.
    """

    def __init__(self, workspace: Path, device: str, samples: int) -> None:
        self.workspace, self.device, self.samples = workspace, device, samples
        self.runs = workspace / "checkpoints" / "ltr" / "detection_small"
        self.out = workspace / "detection_comparison"
        self.records: dict[str, Any] = {}
        self.steps: dict[str, DetectionRefinementSettings] = {}
        self.sheets: list[Path] = []
        self.stop_signal: int | None = None
        tuning = workspace / "generated_detection_tuning"
        write_generated_detection(tuning, train=1, val=_TUNING_IMAGES, seed=1)
        self.tuning = read_coco_detection(tuning, "val")
        self.val: DetectionImages = images(self._settings("direct", 0), "val")

    def systems(self, systems: list[str], seeds: int) -> Table:
        """The table of all systems; those that climb have a second row, before they do."""
        results: dict[str, list[DetectionResult]] = {}
        with self._until_stopped():
            for seed, system in itertools.product(range(seeds), sorted(systems, key=SYSTEMS.index)):
                detector, name = self._trained(self._settings(system, seed), f"{system}_{seed}")
                if detector.refines:
                    before = self._score(detector, name, refine=False)
                    results.setdefault(f"{system} {UNREFINED}", []).append(before)
                after = self._score(detector, name)
                results.setdefault(system, []).append(after)
                if system == "ebm" and not self.sheets:
                    file = self.out / "contact_sheet_ebm.png"
                    self.sheets.append(draw_sheet(self.val, before, after, file))
        table = make_table(results, "Object detection on generated images: COCO's AP in percent, mean ± standard error")
        table.notes += [*self._notes(), *self._chosen_steps()]
        return table

    def table_s1(self, rows: list[tuple[float, ...]], seeds: int) -> Table:
        """AP of the EBM for each proposal distribution, beside the paper's where it has that one."""
        table = Table(
            "Proposal distributions (Table S1): AP in percent of the EBM on generated images, the paper's on COCO",
            ["AP", "AP75", "runs", "paper AP"],
            [],
        )
        found: dict[tuple[float, ...], list[DetectionResult]] = {}
        with self._until_stopped():
            for seed, sigmas in itertools.product(range(seeds), rows):
                settings = self._settings("ebm", seed)
                settings.proposals = replace(settings.proposals, sigmas=sigmas)
                name = "ebm" if sigmas == self._settings("ebm", 0).proposals.sigmas else "ebm_" + _joined(sigmas)
                detector, name = self._trained(settings, f"{name}_{seed}")
                result = self._score(detector, name)
                found.setdefault(sigmas, []).append(result)
        for sigmas, results in found.items():
            cells = [Mean.of([100 * getattr(r.metrics, key) for r in results]) for key in ("ap", "ap75")]
            name = f"L = {len(sigmas)}  {{{', '.join(map(str, sigmas))}}}"
            table.rows.append((name, [*cells, str(len(results)), str(TABLE_S1.get(sigmas, "-"))]))
        table.notes += [*self._notes(), *self._chosen_steps()]
        return table

    def write(self, table: Table, name: str) -> list[Path]:
        """The table as text, JSON and LaTeX; returns the files."""
        self.out.mkdir(parents=True, exist_ok=True)
        paths = [self.out / f"table_{name}.{ending}" for ending in ("txt", "tex", "json")]
        write_text(paths[0], table.text() + "\n")
        write_text(paths[1], table.latex())
        write_json(paths[2], {"title": table.title, "notes": table.notes, "runs": self.records, **provenance()})
        return [*paths, *self.sheets]

    @contextlib.contextmanager
    def _until_stopped(self) -> Iterator[None]:
        """Goes on after what it holds when a signal ends it, so that what is done is shown."""
        try:
            yield
        except _Stopped as stopped:
            (self.stop_signal,) = stopped.args
        except KeyboardInterrupt:  # not in a training
            self.stop_signal = signal.SIGINT

    # --- one run

    def _settings(self, system: str, seed: int) -> DetectionSettings:
        settings = small(system, seed)
        settings.samples_per_epoch = self.samples
        settings.workspace, settings.device = self.workspace, self.device
        if system != "direct":
            settings.base_weights = self.runs / f"direct_{seed}" / "direct_final.safetensors"
        return settings

    def _trained(self, settings: DetectionSettings, name: str) -> tuple[Detector, str]:
        """The detector of a run, trained as far as it is not, with step-lengths of its own; and the run's name."""
        if settings.base_weights is not None:
            self._weights(self._settings("direct", settings.seed), f"direct_{settings.seed}")
        weights = self._weights(settings, name)
        detector = load_detector(weights, choose_device(settings.device))
        if detector.refines:
            detector.refinement = self.steps[name] = self._steps(detector, weights)
        return detector, name

    def _weights(self, settings: DetectionSettings, name: str) -> Path:
        """The file of a run's last weights, trained as far as it is not."""
        system = settings.detector.system
        weights = self.runs / name / f"{system}_final.safetensors"
        if weights.is_file():
            _check_alike(settings, weights)
        else:
            print(f"--- {name}")
            seed_for_build(settings.seed)
            trainer = Trainer(settings, build(settings), self.runs / name, system)
            if not trainer.train():
                raise _Stopped(trainer.stop_signal)
        return weights

    def _steps(self, detector: Detector, weights: Path) -> DetectionRefinementSettings:
        """Step-lengths by grid search, kept beside the run."""
        file, belongs = weights.parent / "refinement.json", file_hash(weights)
        try:
            kept = json.loads(file.read_text())
            if kept["weights"] == belongs:
                best = kept["found"][0]
                return DetectionRefinementSettings(tuple(best["step"]), best["decay"], best["iterations"])
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            pass  # not searched yet, or a file that a kill cut off
        found = search_steps(detector, self.tuning)
        write_json(file, {"weights": belongs, "found": [{**asdict(s), "mean_iou": iou} for s, iou in found]})
        return found[0][0]

    def _score(self, detector: Detector, name: str, refine: bool = True) -> DetectionResult:
        """COCO's metrics on the validation images."""
        key = name if refine else f"{name} {UNREFINED}"
        result = evaluate(detector, self.val, self.out / "detections" / key.replace(" ", "_"), refine)
        self.records[key] = {"metrics": asdict(result.metrics), "images_per_second": result.frames_per_second}
        return result

    # --- notes

    def _notes(self) -> list[str]:
        direct, gaussian, ebm = (small(system, 0) for system in ("direct", "gaussian", "ebm"))
        return [
            f"{len(self.val)} validation images. Epochs of {self.samples} images in batches of {ebm.batch_size}: "
            f"Faster-RCNN {direct.epochs}, densities {gaussian.epochs}, confidence branches {ebm.epochs}."
        ]

    def _chosen_steps(self) -> list[str]:
        if not self.steps:
            return []
        steps = ", ".join(f"{name} {s.step[0]:g} / {s.step[1]:g}" for name, s in self.steps.items())
        return [f"Step-lengths (position / size), chosen on {_TUNING_IMAGES} other images: {steps}."]


def _check_alike(settings: DetectionSettings, weights: Path) -> None:
    notes, _ = read_safetensors(weights)
    found = differences(settings, json.loads(notes["settings"]))
    if found:
        name, (before, now) = min(found.items())
        raise UserError(
            f"{weights.parent} was trained with {name} {before}, and {now} is asked for: give what was given before, "
            "choose another --workspace, or delete that folder"
        )


def _sigmas(text: str) -> tuple[float, ...]:
    """A row of Table S1 from its standard deviations: '0.0375,0.15'."""
    try:
        sigmas = tuple(map(float, text.split(",")))
    except ValueError:
        sigmas = (math.nan,)
    if not all(0 < sigma < math.inf for sigma in sigmas):
        raise argparse.ArgumentTypeError(f"{text!r} is no row: give positive numbers with commas between them")
    return sigmas


def _joined(sigmas: tuple[float, ...]) -> str:
    return "_".join(f"{sigma:g}" for sigma in sigmas)


if __name__ == "__main__":
    sys.exit(main())
