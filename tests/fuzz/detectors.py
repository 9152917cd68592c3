"""What a detector's table is made from, and checkpoints of PyTracking: files of trained networks besides ours."""

from __future__ import annotations

import io
import json
import random
import sys
import types
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file

from ltr.common.columns import Columns, name_columns
from ltr.common.errors import UserError
from ltr.common.plain import to_plain
from ltr.evaluation.detection.kept_rows import read_rows
from ltr.evaluation.detection.log import ImageDetections, detection_log
from ltr.evaluation.runs import check_alike, find_runs
from ltr.evaluation.steps.choice import StepChoice, keep_choice, kept_choice
from ltr.models.bbreg.pytracking_file import STAND_INS, atom_weights
from ltr.models.detection import load_detector
from ltr.models.weights_file import read_pickle
from ltr.train_settings.registry import load_settings
from ltr.trainers.checkpoint import save_checkpoint
from tests.fuzz.mutate import damage_json, damage_json_lines, damage_pickle, damage_safetensors, damage_value
from tests.fuzz.target import Row
from tests.helpers.tiny_detectors import LITE, make_detector

_NAMES = {"Settings": "settings", "NetConstructor": "model_constructor", "AverageMeter": "stats"}


def detectors(folder: Path) -> list[Row]:
    """Writes the files, and returns the rows of their targets."""
    run = folder / "runs" / "ebm_0"
    for place in (run, folder / "saved", folder / "pytracking", folder / "log"):
        place.mkdir(parents=True)
    torch.manual_seed(0)
    detector = make_detector("ebm")
    settings = load_settings("detection", "ebm").settings()
    settings.detector.base = LITE
    about = {"settings": json.dumps(to_plain(settings)), "epochs": str(settings.epochs), "versions": "{}"}
    save_file(detector.state_dict(), run / "ebm_final.safetensors", about)
    save_checkpoint(folder / "saved" / "last.pth", {"model": detector.state_dict(), "settings": to_plain(settings)})
    choice = StepChoice((0.01, 0.02), 0.5, 10, "IoU", 0.7, "images")
    keep_choice(run / "ebm_final.safetensors", choice)
    (steps,) = [file for file in run.iterdir() if file.suffix == ".json"]
    (folder / "pytracking" / "ATOMnet_ep0050.pth.tar").write_bytes(_pytracking(_saved_by_pytracking()))
    with detection_log(folder / "log" / "ebm", {"weights": 1}) as log:
        for number in (1, 2):
            log.append(ImageDetections(number, 0.1, [[1, 2, 3, 4]], [1], [0.9]))
    assert log.path is not None
    (folder / "val.json").write_text(json.dumps(_table(settings)))
    Columns({"boxes": torch.ones(3, 4).numpy(), **name_columns("files", ["a", "b", "c"])}, {"skipped": {}}).write(
        folder / "remembered.columns"
    )
    return [
        ("runs/ebm_0/ebm_final.safetensors", (damage_safetensors, damage_safetensors), load_detector),
        ("runs/ebm_0/ebm_final.safetensors", (damage_safetensors,), _run),
        ("saved/last.pth", (damage_pickle,), load_detector),
        (f"runs/ebm_0/{steps.name}", (damage_json,), lambda file: kept_choice(run / "ebm_final.safetensors")),
        ("pytracking/ATOMnet_ep0050.pth.tar", (_damage_pytracking, _damage_pytracking), _weights),
        (str(log.path.relative_to(folder)), (damage_json_lines, damage_json_lines), _log),
        ("val.json", (damage_json, damage_json), read_rows),
        ("remembered.columns", (), _columns),
    ]


def _run(file: Path) -> None:
    runs, _ = find_runs("detection", [file.parents[1]])
    if runs:
        check_alike(runs)


def _weights(file: Path) -> dict:
    try:
        return atom_weights(read_pickle(file, STAND_INS))
    except ValueError as error:
        raise UserError(str(error)) from error


def _log(file: Path) -> list:
    with detection_log(file.with_name(file.name.rpartition("-")[0]), {"weights": 1}) as log:
        return [list(log[number].coco()) for number in (1, 2) if number in log]


def _columns(file: Path) -> None:
    try:
        columns = Columns.mapped(file)
        columns.check()
    except (OSError, ValueError):  # what is remembered is then read anew
        return
    list(columns.names("files"))


def _table(settings: object) -> dict:
    metrics = dict.fromkeys(("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar100",
                             "ar_small", "ar_medium", "ar_large"), 0.5)  # fmt: skip
    record = {
        "metrics": metrics, "images": 4, "unreadable": [], "images_per_second": 10.0, "seconds": {"50%": 0.1},
        "log": "a.jsonl",
        "about": {"annotations": "a", "weights": "b", "device": "cpu", "threads": 1, "refinement": None},
    }  # fmt: skip
    run = {"settings": to_plain(settings), "epochs": 3}
    row = {"made": {"time": "2026-01-01T00:00:00", "files": {"a": "b"}}, "notes": [], "runs": {"a/b": run}}
    return {"results": {"ebm": [record]}, "rows": {"ebm": row}, "notes": []}


def _saved_by_pytracking() -> dict:
    return {
        "epoch": 50,
        "net_type": "ATOMnet",
        "net": OrderedDict((f"bb_regressor.{name}.weight", torch.ones(2, 3)) for name in ("fc3_rt", "iou_predictor")),
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-3}]},
        "stats": {"train": {"Loss/total": "AverageMeter"}},
        "constructor": "NetConstructor",
        "settings": "Settings",
    }


def _pytracking(content: object) -> bytes:
    """The content as PyTracking's trainer saves it: with instances of its classes where their names stand."""
    made = {name: types.ModuleType(f"ltr.admin.{module}") for name, module in _NAMES.items()}
    classes = {name: type(name, (), {"__module__": module.__name__}) for name, module in made.items()}
    for name, module in made.items():
        setattr(module, name, classes[name])
    modules = {"ltr.admin": types.ModuleType("ltr.admin"), **{m.__name__: m for m in made.values()}}

    def with_instances(value: object) -> object:
        if isinstance(value, dict):
            return type(value)((k, with_instances(v)) for k, v in value.items())
        return classes[value]() if isinstance(value, str) and value in classes else value

    file = io.BytesIO()
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        torch.save(with_instances(content), file)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return file.getvalue()


def _damage_pytracking(content: bytes, rng: random.Random) -> bytes:
    """Damages the values; of what it is given, it needs nothing."""
    return _pytracking(damage_value(_saved_by_pytracking(), rng))
