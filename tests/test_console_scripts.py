"""The console commands and the scripts that stand for them: they start, and their help fits on a screen."""

import importlib
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

COMMANDS = {script.name: script for script in entry_points(group="console_scripts") if script.name.startswith("ebm-")}
SHIMS = {
    "ltr.run_calibration": "ebm-calibrate",
    "ltr.run_detection_comparison": "ebm-compare-detection",
    "ltr.run_evaluation": "ebm-evaluate",
    "ltr.run_reproduction": "ebm-reproduce",
    "ltr.run_step_search": "ebm-search-steps",
    "ltr.run_toy_comparison": "ebm-compare-toy",
    "ltr.run_training": "ebm-train",
    "pytracking.run_ablation": "ebm-ablate",
    "pytracking.run_demo": "ebm-demo",
    "pytracking.run_experiment": "ebm-experiment",
    "pytracking.run_tracker": "ebm-track",
    "pytracking.run_video": "ebm-video",
    "pytracking.run_vot": "ebm-vot",
    "pytracking.run_webcam": "ebm-webcam",
}


def test_every_script_has_its_command():
    assert set(SHIMS.values()) | {"ebm-analyse", "ebm-export", "ebm-export-network", "ebm-view"} == set(COMMANDS)


@pytest.mark.parametrize("module", SHIMS)
def test_a_script_is_its_command(module):
    shim = importlib.import_module(module)
    assert shim.main is COMMANDS[SHIMS[module]].load()
    assert len(Path(shim.__file__).read_text().splitlines()) <= 4


def test_the_learning_part_of_a_command_has_a_script_too():
    from ltr import run_ablation
    from ltr.commands import ablate

    assert run_ablation.main is ablate.main


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_on_a_screen_and_has_an_example(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "argv", [command, "--help"])
    try:
        code = COMMANDS[command].load()()
    except SystemExit as end:
        code = end.code
    assert not code
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 50 and max(map(len, lines)) <= 100
    assert any(line.strip().startswith(f"{command} ") for line in lines), "an example, or a usage that is one"


def test_a_command_is_installed():
    run = subprocess.run([Path(sys.executable).parent / "ebm-train", "--help"], capture_output=True, text=True)
    assert run.returncode == 0 and "ebm-train" in run.stdout, run.stderr
