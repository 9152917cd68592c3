"""Leaves one working OpenCV in this environment; install.sh runs it after pip.

OpenCV comes in up to four packages that overwrite each other's files: opencv-python, opencv-contrib-python with the
contributed trackers (CSRT, KCF), and both without a window system (headless). The one written last is the one that
works, and all have to be of one version.
"""

import subprocess
import sys
from importlib.metadata import distributions

PROBE = "import cv2; cv2.imread, cv2.VideoCapture; print(hasattr(cv2, 'TrackerCSRT'))"


def versions() -> dict[str, str]:
    """The installed packages of OpenCV with their versions."""
    found = {d.metadata["Name"]: d.version for d in distributions()}
    return {name: version for name, version in found.items() if name.startswith("opencv-")}


def problem() -> str:
    """What is wrong with OpenCV, in one line; empty if it works and has the contributed trackers."""
    probe = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True)
    if probe.returncode:
        return probe.stderr.strip().splitlines()[-1]
    if "True" not in probe.stdout:
        return "it has no TrackerCSRT"
    if len(set(versions().values())) > 1:
        return f"its packages differ in their versions: {versions()}"
    return ""


def pip(*arguments: str) -> None:
    failed = subprocess.run([sys.executable, "-m", "pip", *arguments]).returncode
    if failed:
        sys.exit(failed)


def main() -> int:
    """Installs what is missing and returns the exit code."""
    found = versions()
    version = found.get("opencv-python") or found["opencv-python-headless"]
    wrong = problem()
    if wrong and "cannot open shared object" not in wrong:
        pip("install", "--quiet", "--force-reinstall", "--no-deps", f"opencv-contrib-python=={version}")
        wrong = problem()
    if "cannot open shared object" in wrong:
        print(f"OpenCV's windows need a library that this machine lacks ({wrong}): installing OpenCV without windows")
        names = ["opencv-python", "opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless"]
        pip("uninstall", "--quiet", "--yes", *names)
        for name in names[2:]:
            pip("install", "--quiet", "--no-deps", f"{name}=={version}")
        wrong = problem()
    if wrong:
        print(f"error: OpenCV is installed but does not work: {wrong}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
