"""Table S1 on COCO, or on other data: the EBM trained with each proposal distribution on one given Faster-RCNN."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from ltr.common.device import choose_device
from ltr.common.environment import get_path
from ltr.common.provenance import provenance
from ltr.evaluation.departures import departures, departures_note
from ltr.evaluation.detection.detector_evaluation import DetectorEvaluation, evaluate_detector
from ltr.evaluation.detection.notes import choice_notes, data_notes
from ltr.evaluation.detection.table_s1 import Sigmas, joined, table_s1
from ltr.evaluation.steps.choice import StepChoice, kept_choice
from ltr.evaluation.steps.detections import refinement_of
from ltr.evaluation.tables import Table, write_table
from ltr.evaluation.trainings.training import Training
from ltr.models.detection import load_detector
from ltr.train_settings.detection import DetectionSettings, images, settings_for


class DetectionWidthAblation:
    """The trainings of the table, and the table.

    Args:
        settings: of all trainings, apart from seed and widths.
        rows: widths of the proposal's components.
        seeds: of each row.
        limit: evaluates on the first so many images only; None for all.

    Attributes:
        trainings: of all rows, seed by seed.

    Raises:
        UserError: if the data are missing, or have labels that the detector does not know.
    """

    def __init__(self, settings: DetectionSettings, rows: Sequence[Sigmas], seeds: int, limit: int | None) -> None:
        self.settings, self.limit = settings, limit
        self.workspace = get_path("workspace", settings.workspace)
        self.folder = self.workspace / "checkpoints" / "ltr" / "detection_sigmas"
        self.out = self.workspace / "evaluation" / "detection_sigmas"
        self.images = images(settings, "val")
        self.trainings = [self._training(row, seed) for seed in range(seeds) for row in dict.fromkeys(rows)]

    def table(self, trained: Sequence[Training]) -> tuple[Table, list[Path]]:
        """Evaluates finished trainings; returns the table and the files to which it is written.

        Detections are on disk at once, and an interrupted evaluation continues.

        Raises:
            UserError: if an image or a file cannot be read, or the folder cannot be written.
        """
        found: dict[Sigmas, list[DetectorEvaluation]] = {}
        choices: list[StepChoice] = []
        records = {}
        for training in trained:
            detector = load_detector(training.weights, choose_device(self.settings.device))
            choice = kept_choice(training.weights)
            if choice is not None:
                detector.refinement = refinement_of(choice, detector.refinement)
                choices.append(choice)
            log = self.out / "detections" / training.name
            result = evaluate_detector(detector, self.images, log, limit=self.limit)
            found.setdefault(training.settings.proposals.sigmas, []).append(replace(result, detections=[]))
            records[training.name] = asdict(result.metrics)
        table = table_s1(found, self.images.name)
        every = {"ebm": [result for results in found.values() for result in results]}
        notes = data_notes(every, self.images)
        paper = departures([(self.settings, settings_for("ebm"))], ("seed", "proposals.sigmas"))
        table.notes += [*notes, *choice_notes(choices, self.images), *departures_note(paper)]
        about = provenance(self.settings, rows=table.rows, notes=table.notes, results=records)
        stem = "table_s1" if self.limit is None else f"table_s1_first{self.limit}"
        return table, write_table(table, self.out, stem, about)

    def _training(self, row: Sigmas, seed: int) -> Training:
        settings = copy.deepcopy(self.settings)
        settings.seed, settings.proposals.sigmas = seed, row
        return Training("detection", "ebm", settings, self.folder / f"ebm_{joined(row)}_{seed}")
