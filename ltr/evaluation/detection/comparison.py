"""Comparison of detectors that differ only in how they regress boxes: trained, tuned and scored on generated images.

A small Faster-RCNN (EfficientNet-Lite0 under a feature pyramid) is trained for each seed, then the part that each
system adds to it. As in the paper, a grid search on other images chooses the step-lengths of systems that refine.
"""

from __future__ import annotations

import contextlib
import itertools
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ltr.actors.density_loss import BoxLossSettings, EnergyLoss
from ltr.common.device import DeviceChoice, choose_device
from ltr.common.provenance import provenance
from ltr.dataset import DetectionImages, read_coco_detection
from ltr.dataset.generated.detection_set import write_generated_detection
from ltr.evaluation.detection.detector_evaluation import DetectorEvaluation, evaluate_detector
from ltr.evaluation.detection.sheet import draw_sheet
from ltr.evaluation.detection.table import UNREFINED, make_table
from ltr.evaluation.detection.table_s1 import joined, table_s1
from ltr.evaluation.runs import check_made_with
from ltr.evaluation.steps.choice import StepChoice, keep_choice, kept_choice
from ltr.evaluation.steps.detections import MEAN_IOU, measure_detections, refinement_of
from ltr.evaluation.tables import Table, write_table
from ltr.evaluation.trainings.rounds import Outcome
from ltr.evaluation.trainings.training import Training
from ltr.models.detection import SYSTEMS, DetectionRefinementSettings, Detector, System, load_detector
from ltr.train_settings.detection import DetectionSettings, images
from ltr.train_settings.small_detection import small

LOSS_NAMES: dict[EnergyLoss, str] = {
    "nll": "ML-IS (Eq. 4)",
    "kld": "KLD-IS",
    "nce": "NCE",
    "nce_plus": "NCE+",
    "mcmc": "ML-MCMC",
    "dsm": "DSM",
}
"""The names that Gustafsson et al. (BMVC 2020) give the losses, by --loss."""
_TUNING_IMAGES = 100
_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # of the system's own step-lengths


def runs_folder(workspace: Path) -> Path:
    """The folder of the comparison's trainings."""
    return workspace / "checkpoints" / "ltr" / "detection_small"


class DetectionComparison:
    """Trainings and results in a workspace. Finished ones are kept and reused.

    Args:
        workspace: root of runs ({workspace}/checkpoints/ltr/detection_small) and results
            ({workspace}/detection_comparison).
        device: where it trains and detects.
        samples: training images of an epoch.
        train: does trainings in rounds, such as :func:`ltr.evaluation.trainings.rounds.train_rounds` with its jobs.

    Attributes:
        stop_signal: the signal that stopped the comparison, or None.
        failures: a sentence for each training that failed, by its name.
    """

    def __init__(
        self,
        workspace: Path,
        device: DeviceChoice,
        samples: int,
        train: Callable[[Sequence[Sequence[Training]]], Outcome],
    ) -> None:
        self.workspace, self.device, self.samples = workspace, device, samples
        self.runs = runs_folder(workspace)
        self.out = workspace / "detection_comparison"
        self.records: dict[str, Any] = {}
        self.steps: dict[str, DetectionRefinementSettings] = {}
        self.sheets: list[Path] = []
        self.stop_signal: int | None = None
        self.failures: dict[str, str] = {}
        self._train = train
        tuning = workspace / "generated_detection_tuning"
        write_generated_detection(tuning, train=1, val=_TUNING_IMAGES, seed=1)
        self.tuning = read_coco_detection(tuning, "val")
        self.val: DetectionImages = images(self._settings("direct", 0), "val")

    def table_of_systems(self, systems: Sequence[System], seeds: int) -> Table:
        """The table of all systems; those that refine have a second row, without refinement."""
        results: dict[str, list[DetectorEvaluation]] = {}
        pairs = itertools.product(range(seeds), sorted(systems, key=SYSTEMS.index))
        wanted = {f"{system}_{seed}": self._settings(system, seed) for seed, system in pairs}
        with self._until_stopped():
            for name in self._trained(wanted):
                detector, system = self._detector(wanted[name], name), wanted[name].detector.system
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

    def table_s1(self, rows: Sequence[tuple[float, ...]], seeds: int) -> Table:
        """AP of the EBM for each proposal distribution, beside the paper's AP if the paper has that distribution."""
        found: dict[tuple[float, ...], list[DetectorEvaluation]] = {}
        wanted = {}
        for seed, sigmas in itertools.product(range(seeds), rows):
            settings = self._settings("ebm", seed)
            own = settings.proposals.sigmas
            settings.proposals = replace(settings.proposals, sigmas=sigmas)
            wanted[f"{'ebm' if sigmas == own else 'ebm_' + joined(sigmas)}_{seed}"] = settings
        with self._until_stopped():
            for name in self._trained(wanted):
                result = self._score(self._detector(wanted[name], name), name)
                found.setdefault(wanted[name].proposals.sigmas, []).append(result)
        table = table_s1(found, "generated images")
        table.notes += [*self._notes(), *self._chosen_steps()]
        return table

    def table_of_losses(self, losses: Sequence[EnergyLoss], seeds: int) -> Table:
        """AP of the EBM trained by each loss, and of its detections without refinement."""
        results: dict[str, list[DetectorEvaluation]] = {}
        wanted = {}
        for seed, loss in itertools.product(range(seeds), losses):
            settings = self._settings("ebm", seed)
            settings.loss = loss
            wanted[f"{'ebm' if loss == 'nll' else f'ebm_{loss}'}_{seed}"] = settings
        with self._until_stopped():
            for name in self._trained(wanted):
                detector, loss = self._detector(wanted[name], name), wanted[name].loss
                results.setdefault(f"{LOSS_NAMES[loss]}, {UNREFINED}", []).append(
                    self._score(detector, name, refine=False)
                )
                results.setdefault(LOSS_NAMES[loss], []).append(self._score(detector, name))
        table = make_table(
            results, "Losses of the EBM on generated images: COCO's AP in percent, mean ± standard error"
        )
        c = BoxLossSettings()
        constants = {
            "kld": f"KLD-IS sigma_gt = {c.sigma_gt:g}",
            "dsm": f"DSM sigma = {c.sigma_dsm:g}",
            "mcmc": f"ML-MCMC alpha = {c.langevin_step:g}, L = {c.langevin_iterations}, so that chains hardly move",
        }
        published = [text for loss, text in constants.items() if loss in losses]
        table.notes += [f"Published constants: {'; '.join(published)}."] if published else []
        table.notes += [*self._notes(), *self._chosen_steps()]
        return table

    def write(self, table: Table, name: str) -> list[Path]:
        """Writes the table as text, JSON and LaTeX; returns these files and the contact sheets."""
        about = {"title": table.title, "notes": table.notes, "runs": self.records, **provenance()}
        return [*write_table(table, self.out, f"table_{name}", about), *self.sheets]

    @contextlib.contextmanager
    def _until_stopped(self) -> Iterator[None]:
        """Ends its block when a signal stops it, so that the table shows the finished results."""
        try:
            yield
        except KeyboardInterrupt:  # outside a training
            self.stop_signal = signal.SIGINT

    # --- one run

    def _settings(self, system: System, seed: int) -> DetectionSettings:
        settings = small(system, seed)
        settings.samples_per_epoch = self.samples
        settings.workspace, settings.device = self.workspace, self.device
        if system != "direct":
            settings.base_weights = self.runs / f"direct_{seed}" / "direct_final.safetensors"
        return settings

    def _trained(self, wanted: Mapping[str, DetectionSettings]) -> list[str]:
        """Trains what is not finished, and before it the base of each; the names of those that can be evaluated.

        Raises:
            UserError: if a finished run has other settings.
        """
        bases, others = {}, {}
        for name, settings in wanted.items():
            base = self._settings("direct", settings.seed)
            bases[f"direct_{settings.seed}"] = base
            if settings.base_weights is not None:
                others[name] = settings
        rounds = [[self._training(name, s) for name, s in each.items()] for each in (bases, others)]
        for training in [training for each in rounds for training in each]:
            if training.weights.is_file():
                check_made_with(training.settings, training.weights)
        outcome = self._train(rounds)
        self.stop_signal, self.failures = outcome.stop_signal, outcome.failures
        trained = {training.name for training in outcome.trained}
        return [] if self.stop_signal is not None else [name for name in wanted if name in trained]

    def _training(self, name: str, settings: DetectionSettings) -> Training:
        return Training("detection", settings.detector.system, settings, self.runs / name)

    def _detector(self, settings: DetectionSettings, name: str) -> Detector:
        """The detector of a finished run, with its own step-lengths."""
        weights = self._training(name, settings).weights
        detector = load_detector(weights, choose_device(settings.device))
        if detector.refines:
            detector.refinement = self.steps[name] = self._steps(detector, weights)
        return detector

    def _steps(self, detector: Detector, weights: Path) -> DetectionRefinementSettings:
        """Step-lengths by grid search, which keeps the ratio of position to size; the choice is kept beside the run."""
        own = detector.refinement
        choice = kept_choice(weights)
        if choice is None:
            tried = [replace(own, step=(own.step[0] * f, own.step[1] * f)) for f in _FACTORS]
            _, values = measure_detections(detector, self.tuning, tried)
            best = int(values.argmax())
            choice = StepChoice(
                tried[best].step, own.decay, own.iterations, MEAN_IOU, float(values[best]), self.tuning.name
            )
            keep_choice(weights, choice)
        return refinement_of(choice, own)

    def _score(self, detector: Detector, name: str, refine: bool = True) -> DetectorEvaluation:
        """Evaluates a detector on the validation images."""
        key = name if refine else f"{name} {UNREFINED}"
        result = evaluate_detector(detector, self.val, self.out / "detections" / key.replace(" ", "_"), refine)
        self.records[key] = {"metrics": asdict(result.metrics), "images_per_second": result.images_per_second}
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
