"""install.sh with stubs in the places of Python and pip: nothing is installed and no network is used."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import install_opencv

REPO = Path(__file__).resolve().parents[1]
BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="no bash")

# A Python that makes 'virtual environments' of itself, notes what pip and pytest are asked for, and fails as told.
STUB = """#!/bin/sh
here="{folder}"
case "$*" in
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo "venv" >>"$here/calls" ;;
  "-m pip --version") ;;
  "-m pip "*)
    echo "$*" | sed 's/-m pip //' >>"$here/calls"
    if [ -f "$here/interrupted" ]; then
      kill -INT $PPID
      exit 1
    fi
    if [ -f "$here/pip_fails" ]; then
      cat "$here/pip_fails" >>"$PIP_LOG"
      exit 1
    fi
    case "$*" in
      *"[view]") [ ! -f "$here/visdom_fails" ] && rm -f "$here/no_visdom" ;;
    esac
    ;;
  "-m ltr.ops.build")
    echo "$*" >>"$here/calls"
    if [ -f "$here/no_compiler" ]; then
      echo "no C++ compiler was found"
      exit 1
    fi
    ;;
  *'find_spec("visdom")'*) [ ! -f "$here/no_visdom" ] ;;
  *install_opencv.py | "-m pytracking."*) echo "$*" >>"$here/calls" ;;
  *ensurepip*) [ ! -f "$here/no_venv" ] && exec "{python}" "$@" ;;
  *) exec "{python}" "$@" ;;
esac
"""
BUILD = "-m ltr.ops.build"
PAGE_SCRIPTS = "-m pytracking.view.page_scripts"


class Machine:
    """A folder with install.sh and pyproject.toml, and a bin folder whose python3 is the stub."""

    def __init__(self, folder: Path):
        self.folder, self.repo, self.bin = folder, folder / "repo", folder / "bin"
        self.repo.mkdir()
        self.bin.mkdir()
        shutil.copy(REPO / "install.sh", self.repo)
        shutil.copy(REPO / "install_opencv.py", self.repo)
        (self.repo / "pyproject.toml").write_text("[project]\n")
        check = self.repo / "tests" / "check.sh"
        check.parent.mkdir()
        check.write_text(f'echo "check $*" >>"{folder}/calls"\n')
        self.kernel = self.repo / "ltr" / "ops" / "csrc" / "prroi_pool_cpu.cpp"
        self.kernel.parent.mkdir(parents=True)
        for source in (self.kernel, *(self.kernel.parents[1] / f"{name}.py" for name in ("build", "libraries"))):
            source.touch()
        # Only what the script needs, so that no other Python of this machine is found.
        for tool in "bash cat cksum cp dirname grep mkdir rm sed sh touch".split():
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.stub = self.bin / "python3"
        self.stub.write_text(STUB.format(folder=folder, python=sys.executable))
        self.stub.chmod(0o755)

    def install(self, *arguments, **environment):
        return subprocess.run(
            [BASH, self.repo / "install.sh", *arguments],
            cwd=self.folder,
            env={"PATH": str(self.bin), "HOME": str(self.folder), **environment},
            capture_output=True,
            text=True,
            # A shell's background jobs ignore Ctrl-C, and so would all that they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    @property
    def installation(self):
        """The calls that make a whole installation in a .venv."""
        return [
            f"install --editable {self.repo}[test,docs,demo,compare,onnx]",
            f"{self.repo}/install_opencv.py",
            "install --quiet setuptools>=77,<81 wheel",
            f"install --quiet --no-build-isolation --editable {self.repo}[view]",
            BUILD,
        ]

    def calls(self):
        """What was asked for since the last time."""
        file = self.folder / "calls"
        calls = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return calls


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_help_and_mistakes_change_nothing(machine):
    help_text = machine.install("--help")
    assert help_text.returncode == 0 and "--demo" in help_text.stdout and "download.pytorch.org" in help_text.stdout
    mistake = machine.install("--demon")
    assert mistake.returncode != 0 and "--demon" in mistake.stderr and "--help" in mistake.stderr
    assert not (machine.repo / ".venv").exists()


def test_it_installs_once_and_again_when_the_project_changed(machine):
    first = machine.install()
    assert first.returncode == 0, first.stderr
    # torch and torchvision have to be resolved together, hence one call; visdom is built with an older setuptools.
    assert machine.calls() == ["venv", *machine.installation]
    second = machine.install()
    assert second.returncode == 0 and "Already installed" in second.stdout and not machine.calls()
    for changed in (machine.repo / "pyproject.toml", machine.kernel):
        changed.write_text("[project]\nname = 'x'\n")
        assert machine.install().returncode == 0
        assert machine.calls() == machine.installation


def test_without_compiled_kernels_it_is_installed_all_the_same(machine):
    (machine.folder / "no_compiler").touch()
    first = machine.install()
    assert first.returncode == 0
    warnings = [line for line in (first.stdout + first.stderr).splitlines() if "warning" in line]
    assert len(warnings) == 1 and "kernels.log" in warnings[0]
    assert "no C++ compiler" in (machine.repo / ".venv" / "kernels.log").read_text()
    assert "Already installed" in machine.install().stdout  # and it is not tried at every start


def test_without_visdom_it_is_installed_all_the_same(machine):
    for name in ("visdom_fails", "no_visdom"):
        (machine.folder / name).touch()
    first = machine.install()
    assert first.returncode == 0
    warnings = [line for line in (first.stdout + first.stderr).splitlines() if "warning" in line]
    assert len(warnings) == 1 and "no live view" in warnings[0] and "visdom.log" in warnings[0]
    assert machine.calls() == ["venv", *machine.installation]
    assert "Already installed" in machine.install().stdout  # and it is not tried at every start


def test_the_live_view_s_page_is_completed_on_demand(machine):
    assert machine.install("--visdom").returncode == 0
    assert machine.calls() == ["venv", *machine.installation, PAGE_SCRIPTS]
    assert machine.install("--visdom").returncode == 0
    assert machine.calls() == [PAGE_SCRIPTS]
    # Where visdom could not be installed before, it is tried again.
    for name in ("visdom_fails", "no_visdom"):
        (machine.folder / name).touch()
    failed = machine.install("--visdom")
    assert failed.returncode == 1 and "visdom.log" in failed.stderr and PAGE_SCRIPTS not in machine.calls()
    (machine.folder / "visdom_fails").unlink()
    assert machine.install("--visdom").returncode == 0
    assert machine.calls() == [*machine.installation[2:4], PAGE_SCRIPTS]


def test_the_demo_and_the_tests_get_their_options(machine):
    assert machine.install("--test", "-k", "boxes").returncode == 0
    assert machine.calls()[-1] == "check -k boxes"
    assert machine.install("--demo", "--out", "here").returncode == 0
    assert machine.calls() == ["-m pytracking.commands.demo --out here"]


def test_what_was_cut_off_is_made_anew(machine):
    machine.install()
    machine.calls()
    (machine.repo / ".venv" / "unfinished").touch()
    again = machine.install()
    assert again.returncode == 0 and "rebuilt" in again.stdout and machine.calls()[0] == "venv"
    (machine.repo / ".venv" / "bin" / "python").unlink()
    again = machine.install()
    assert again.returncode == 0 and "rebuilt" in again.stdout and machine.calls()[0] == "venv"


def test_an_interrupted_installation_is_made_anew(machine):
    (machine.folder / "interrupted").touch()
    interrupted = machine.install()
    assert interrupted.returncode != 0 and "interrupted" in interrupted.stderr
    assert "pip could not" not in interrupted.stderr
    (machine.folder / "interrupted").unlink()
    again = machine.install()
    assert again.returncode == 0 and "rebuilt" in again.stdout


@pytest.mark.parametrize(
    "message, said",
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("WARNING: Retrying after connection broken by 'NewConnectionError'", "registry cannot be reached"),
        ("ERROR: ResolutionImpossible", "install.log"),
    ],
)
def test_a_failure_of_pip_is_explained_and_tried_again(machine, message, said):
    (machine.folder / "pip_fails").write_text(message + "\n")
    failed = machine.install("--test")
    assert failed.returncode == 1 and said in failed.stderr
    assert len(machine.calls()) == 2  # and no tests
    (machine.folder / "pip_fails").unlink()
    again = machine.install()
    assert again.returncode == 0 and "rebuilt" not in again.stdout
    assert machine.calls() == machine.installation


class OpenCV:
    """An environment with OpenCV's packages, in place of pip and the import."""

    def __init__(self, monkeypatch, problem, mended_by):
        self.calls, self.wrong, self.mended_by = [], problem, mended_by
        monkeypatch.setattr(install_opencv, "versions", lambda: {"opencv-python": "4.12.0.88"})
        monkeypatch.setattr(install_opencv, "problem", lambda: self.wrong)
        monkeypatch.setattr(install_opencv, "pip", self.pip)

    def pip(self, *arguments):
        self.calls.append(" ".join(arguments))
        if self.mended_by in self.calls[-1]:
            self.wrong = ""


def test_without_a_library_for_windows_opencv_goes_headless(monkeypatch, capsys):
    opencv = OpenCV(monkeypatch, "libGL.so.1: cannot open shared object file", "opencv-contrib-python-headless==")
    assert install_opencv.main() == 0
    assert "libGL.so.1" in capsys.readouterr().out
    assert opencv.calls[0].startswith("uninstall") and "opencv-contrib-python" in opencv.calls[0]
    assert opencv.calls[1].endswith("opencv-python-headless==4.12.0.88")
    assert opencv.calls[2].endswith("opencv-contrib-python-headless==4.12.0.88") and len(opencv.calls) == 3


def test_contributed_trackers_that_were_overwritten_are_put_back(monkeypatch):
    opencv = OpenCV(monkeypatch, "it has no TrackerCSRT", "opencv-contrib-python==4.12.0.88")
    assert install_opencv.main() == 0
    assert len(opencv.calls) == 1 and opencv.calls[0].endswith("--no-deps opencv-contrib-python==4.12.0.88")


def test_an_opencv_that_stays_broken_is_an_error(monkeypatch, capsys):
    OpenCV(monkeypatch, "it has no TrackerCSRT", "nothing")
    assert install_opencv.main() == 1 and "no TrackerCSRT" in capsys.readouterr().err


def test_the_opencv_of_this_environment_works():
    assert install_opencv.problem() == ""


def test_a_missing_python_or_venv_is_said_with_the_way_to_get_it(machine):
    (machine.folder / "no_venv").touch()
    no_venv = machine.install()
    assert no_venv.returncode == 1 and "apt install python3" in no_venv.stderr and "-venv" in no_venv.stderr
    wrong = machine.install(PYTHON="/no/such/python")
    assert wrong.returncode == 1 and "/no/such/python" in wrong.stderr
    machine.stub.unlink()
    none = machine.install()
    assert none.returncode == 1 and "no Python 3.11" in none.stderr and "apt install" in none.stderr
    assert not (machine.repo / ".venv").exists()


def test_continuous_integration_runs_the_tests_through_it():
    script = REPO / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run([BASH, "-n", script]).returncode == 0
    assert "install.sh --test" in script.read_text() and "EBM_NOT_SKIPPED" in script.read_text()
