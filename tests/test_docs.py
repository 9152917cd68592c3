"""What README and docs say is true: examples run, command lines parse, links lead somewhere, named files exist."""

import argparse
import contextlib
import importlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
import tyro

from pytracking import Tracker
from pytracking.factory import tracker_settings
from tests.helpers import tiny_detectors, video_files

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "pytracking/networks/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]

#: Programs in the pages that are not this package's.
OTHERS = {"pip", "vot", "mkdocs", "ruff", "mypy", "lint-imports", "pre-commit", "source", "git", "docker", "id", "ray"}
#: Modules that `python -m` starts in the pages and that take no option here, or are not this package's.
MODULES_WITHOUT_OPTIONS = {
    "ltr.ops.build",
    "ltr.ops.prroi_pool",
    "tests.machines.__main__",
    "visdom.server",
    "pip",
    "mypy",
}


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """Fenced blocks of a language: the number of their first line, and their text."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(rf"^( *)```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [(text[: m.start()].count("\n") + 2, m[2]) for m in found]


def pages_with(language: str) -> list:
    return [pytest.param(page, id=page_id(page)) for page in PAGES if blocks(page, language)]


# -- README, links, files ----------------------------------------------------------------------------------------


def test_the_readme_is_a_door():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 140


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_lines_fit(page):
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
    assert not [number for number, line in lines if len(line) > 120 and not line.startswith("|")]


def anchors(page: Path) -> set[str]:
    """What headings can be linked by, as GitHub and the site make it."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_and_pictures_exist(page):
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    missing = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            missing.append(target)
    assert not missing


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=page_id)
def test_named_files_exist(page):
    """`ltr/dataset/base.py` in a page is a file, and `localize` in [its file](...) is defined there."""
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:ltr|pytracking|ebm_common|tests|benchmarks|examples|docs)/[\w./]+)`", text)
    named = [name for name in named if "/my_" not in name]
    assert not [name for name in named if not (ROOT / name).exists()]
    for names, target in re.findall(r"((?:`[\w.]+`(?:, | and )?)+) in\s+\[[^\]]*\]\(([^)#\s]+\.py)\)", text):
        source = (page.parent / target).read_text(encoding="utf-8")
        for name in re.findall(r"`([\w.]+)`", names):
            assert re.search(rf"^\s*(?:def|class) {name.rpartition('.')[2]}\b|^{name}\b", source, re.MULTILINE), name
    for target, line in re.findall(
        r"^\| \*\*.*\]\(([^)]+)\) \|\n(?:\|.*\n)*\nThe line is `([^`]+)`", text, re.MULTILINE
    ):
        assert line in (page.parent / target).read_text(encoding="utf-8"), line


def test_the_layers_are_those_of_the_import_contracts():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    for package in ("ltr", "pytracking"):
        (contract,) = [contract for contract in contracts if contract.get("containers") == [package]]
        layers = [layer for layer in contract["layers"] if not layer.startswith("run_")]
        table = text.partition(f"`{package}` ")[2].partition("|---|---|")[2].partition("\n\n")[0]
        rows = re.findall(r"^\| `(\w+)(?:/|\.py)`", table, re.MULTILINE)
        assert [row for row in rows if row != "networks"] == layers  # data, not code


# -- Python ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory) -> Path:
    """A folder with a clip.mp4: a textured square that moves over noise, where the examples look for theirs."""
    folder = tmp_path_factory.mktemp("docs")
    rng = np.random.default_rng(0)
    background = rng.integers(0, 90, (120, 160, 3), np.uint8)
    target = rng.integers(120, 256, (88, 56, 3), np.uint8)
    images = []
    for step in range(4):
        image = background.copy()
        image[13:101, 59 + step : 115 + step] = target
        images.append(image)
    video_files.write(folder / "clip.mp4", images=images)
    return folder


def gaussian_energy(y: torch.Tensor) -> torch.Tensor:
    """Of a Gaussian: (B, M, D) -> (B, M)."""
    return -0.5 * ((y - 0.1) / 0.2).square().sum(-1)


def stand_ins(page: Path, monkeypatch) -> dict:
    """What the blocks of a page take from the reader: a label, an energy, an image, a trained network."""
    names = {
        "energy": gaussian_energy,
        "label": torch.zeros(3, 2),
        "first_guess": torch.zeros(3, 1, 2),
        "image": tiny_detectors.photographs((96, 128))[0],
    }
    if page.name == "density.md":
        names["tracker"] = tracker = Tracker("atom", "ebm", "cpu")
        image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
        names["box"] = np.array([40.0, 30.0, 50.0, 40.0])
        tracker.initialize(image, names["box"])
        tracker.track(image)
    if page.name == "detection.md":
        monkeypatch.setattr("ltr.models.detection.load_detector", lambda path: tiny_detectors.make_detector("ebm"))
    return names


@pytest.mark.parametrize("page", pages_with("python"))
def test_python_runs(page, clip_folder, monkeypatch):
    """The blocks of a page run one after the other, as a reader would type them."""
    monkeypatch.chdir(clip_folder)
    names = stand_ins(page, monkeypatch)
    for line, block in blocks(page, "python"):
        exec(compile("\n" * (line - 1) + block, str(page), "exec"), names)


# -- command lines -----------------------------------------------------------------------------------------------

_STUB = """#!{python}
import json, sys
with open({log!r}, "a") as file:
    file.write(json.dumps([{name!r}, *sys.argv[1:]]) + "\\n")
"""


def command_lines(page: Path, folder: Path) -> list[list[str]]:
    """What the bash blocks of a page would start, as bash itself expands loops and variables: every program is replaced
    by one that only writes down its arguments."""
    programs, log = folder / "bin", folder / "log"
    programs.mkdir()
    for name in [*SCRIPTS, *OTHERS, "python", "torchrun", "bash"]:
        (programs / name).write_text(_STUB.format(python=sys.executable, log=str(log), name=name))
        (programs / name).chmod(0o755)
    shell = Path("/bin/bash")
    for line, block in blocks(page, "bash"):
        script = "enable -n source\nset -eu\n" + block
        done = subprocess.run(
            [shell, "-c", script], env={"PATH": str(programs), "D": "otb"}, cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{page_id(page)}, line {line}: {done.stderr}"
    started = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [list(line) for line in dict.fromkeys(map(tuple, started))]


class Parsed(BaseException):
    """A command has understood its options and would begin to work."""


def entry_of(words: list[str]) -> tuple[str, list[str]] | None:
    """Module and arguments of a command line; None where there is nothing to parse."""
    program, arguments = words[0], words[1:]
    if program in SCRIPTS:
        return SCRIPTS[program].partition(":")[0], arguments
    if program == "docker":
        command = next((k for k, word in enumerate(arguments) if word in SCRIPTS), None)
        return None if command is None else entry_of(arguments[command:])
    if program == "torchrun":
        script = next(k for k, word in enumerate(arguments) if word == "-m")
        return entry_of(["python", *arguments[script:]])
    if program == "bash":
        script = (ROOT / arguments[0]).read_text(encoding="utf-8")
        assert arguments[0] != "install.sh" or all(option in script for option in arguments[1:2])
        return None
    if program != "python" or arguments[:1] == ["-c"]:
        return None
    if arguments[0] == "-m":
        module = arguments[1]
        if module == "pytest":
            assert all((ROOT / word.partition("::")[0]).exists() for word in arguments[2:] if word.startswith("tests"))
            return None
        module += ".__main__" if (ROOT / module.replace(".", "/")).is_dir() else ""
        return None if module in MODULES_WITHOUT_OPTIONS else (module, arguments[2:])
    assert (ROOT / arguments[0]).is_file(), arguments[0]
    if arguments[0].startswith("examples/"):
        return None
    return arguments[0].removesuffix(".py").replace("/", "."), arguments[1:]


def parse(words: list[str]) -> None:
    """Run the argument parser of a command and nothing more.

    Raises:
        AssertionError: the command does not understand its arguments; says why.
    """
    entry = entry_of(words)
    if entry is None:
        return
    module, arguments = entry
    inside: list[str] = []
    rest_are_settings = module.rpartition(".")[2] in {"track", "video", "vot", "webcam", "run_tracker", "run_video"}
    originals = argparse.ArgumentParser.parse_args, argparse.ArgumentParser.parse_known_args, tyro.cli

    def parse_args(self, args=None, namespace=None):
        inside.append("parse_args")
        options = originals[0](self, args, namespace)
        inside.pop()
        if not inside:
            raise Parsed
        return options

    def parse_known_args(self, args=None, namespace=None):
        options, rest = originals[1](self, args, namespace)
        if not inside and rest_are_settings:
            assert not rest or rest[0].startswith("--"), rest
            tracker_settings(options.tracker_name, options.tracker_param, rest)
            raise Parsed
        return options, rest

    def cli(*args, **kwargs):
        inside.append("tyro")
        settings = originals[2](*args, **kwargs)
        inside.pop()
        if not inside:
            if rest_are_settings:
                return settings
            raise Parsed
        return settings

    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(output), contextlib.redirect_stdout(output):
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
        patch.setattr(argparse.ArgumentParser, "parse_known_args", parse_known_args)
        patch.setattr(tyro, "cli", cli)
        patch.setattr(sys, "argv", [words[0], *arguments])
        try:
            importlib.import_module(module).main()
        except Parsed:
            return
        except SystemExit as stop:
            if not stop.code and {"-h", "--help"} & set(arguments):
                return
    raise AssertionError(f"{shlex.join(words)} is not understood:\n{output.getvalue()}")


@pytest.mark.parametrize("page", pages_with("bash"))
def test_command_lines_parse(page, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("EBM_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(ROOT)
    for words in command_lines(page, tmp_path):
        parse(words)


def test_a_wrong_option_is_found():
    """The check above would see a misspelt option, setting or tracker."""
    wrong = [
        ["ebm-track", "atom", "ebm", "--refinement.iteration", "5"],
        ["ebm-track", "atom", "emb"],
        ["ebm-train", "bbreg", "ebm", "--batchsize", "3"],
        ["ebm-evaluate", "age", "--refinement.stp", "3"],
        ["ebm-calibrate", "ebm", "head.safetensors", "--data.val_set", "stills"],
        ["ebm-ablate", "age", "--epoch", "3"],
        ["ebm-compare-detection", "--table", "s2"],
        ["ebm-analyse", "table", "--halfs"],
        ["ebm-video", "atom", "ebm", "clip.mp4", "--boxs", "1"],
        ["python", "-m", "benchmarks", "--jsn", "x"],
    ]
    for words in wrong:
        with pytest.raises(AssertionError):
            parse(words)


def test_the_figures_of_the_readme_are_those_of_the_pages():
    pages = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("results.md", "speed.md"))
    rows = [line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert rows and not [row for row in rows if row not in pages]
