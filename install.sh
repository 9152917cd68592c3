#!/usr/bin/env bash
# Makes .venv in this folder with everything in it, and runs the demo or the tests. See `bash install.sh --help`.
set -euo pipefail

repo="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
venv="$repo/.venv"
python="$venv/bin/python"
stamp="$venv/installed-from"    # what the finished installation was made from
unfinished="$venv/unfinished"   # there while pip is at work
log="$venv/install.log"
kernels_log="$venv/kernels.log"
visdom_log="$venv/visdom.log"

usage() {
  cat <<'END'
Usage: bash install.sh [--demo | --test | --visdom] [further options of the demo or of pytest]

  (nothing)  install into .venv, beside this script; done already: nothing happens
  --demo     install if needed, then track a generated benchmark and a real clip: tables, video and pictures in ./demo
  --test     install if needed, then run the tests
  --visdom   install if needed, then place the scripts of the live view's page, from npm packages (needs npm)
  --help     this text

What is needed: Python 3.11 or newer with its venv module, about 7 GB of disk, and a network that reaches PyPI.
With a C++ compiler (and nvcc), compiled kernels: several times the speed on a CPU.

  PYTHON=/path/to/python3.12 bash install.sh
             choose the Python yourself (otherwise: the first of python3.13, 3.12, 3.11 and python3 that will do)
  PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu bash install.sh
             without a GPU: PyTorch for the CPU alone, which is much smaller
Every other setting of pip (proxies, mirrors, caches) works as usual, by its variables or its configuration file.
END
}

say() { printf '%s\n' "$*"; }

die() {
  printf 'error: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '       %s\n' "$line" >&2; done
  exit 1
}

# -- a Python to start from ---------------------------------------------------------------------------------------

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
has_venv() { "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; }

find_python() {
  local candidate without_venv="" candidates=(python3.13 python3.12 python3.11 python3)
  [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    new_enough "$candidate" || continue
    if has_venv "$candidate"; then
      command -v "$candidate"
      return
    fi
    without_venv="${without_venv:-$candidate}"
  done
  if [ -n "$without_venv" ]; then
    local version
    version="$("$without_venv" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
    die "$without_venv has no venv module, or cannot put pip into what it makes" \
      "Debian, Ubuntu: sudo apt install python$version-venv; then run this again"
  fi
  [ -z "${PYTHON:-}" ] || die "PYTHON=$PYTHON is not a Python 3.11 or newer"
  die "no Python 3.11 or newer was found (looked for python3.13, python3.12, python3.11 and python3)" \
    "Debian, Ubuntu: sudo apt install python3 python3-venv     Fedora: sudo dnf install python3" \
    "macOS: brew install python     anywhere: https://www.python.org/downloads or 'uv python install 3.12'" \
    "If you have one elsewhere: PYTHON=/path/to/python3 bash install.sh"
}

# -- the packages -------------------------------------------------------------------------------------------------

# What an installation is made from: another answer, or none, and it is made again.
fingerprint() {
  "$python" -c '
import hashlib, sys
digest = hashlib.sha256(sys.version.encode())
for name in sys.argv[1:]:
    digest.update(name.encode() + open(name, "rb").read())
print(digest.hexdigest())' "$repo/pyproject.toml" "$repo/install.sh" \
    "$repo"/ltr/ops/{build,libraries}.py "$repo"/ltr/ops/csrc/* 2>/dev/null
}

installed() {
  [ -x "$python" ] && [ ! -e "$unfinished" ] && [ -f "$stamp" ] || return 1
  local now
  now="$(fingerprint)" && [ "$now" = "$(cat "$stamp")" ]
}

pip() {
  "$python" -m pip --disable-pip-version-check --log "$log" "$@" && return
  rm -f "$unfinished"   # pip has put back what it had changed
  explain_failure
}

explain_failure() {
  local messages
  messages="$(grep -i -e error -e warning "$log" || true)"
  case "$messages" in
    *'o space left on device'* | *'uota exceeded'*)
      die "the disk is full: about 7 GB are needed in $venv, and some more for downloads while pip works" \
        "free: $(df -Ph "$repo" "${TMPDIR:-/tmp}" 2>/dev/null | awk 'NR > 1 {print $4 " on " $6}' | sort -u | paste -sd, -)" \
        "'TMPDIR=/a/larger/disk' moves the downloads, 'pip cache purge' empties pip's cache; then run this again"
      ;;
    *[Cc]'onnection'* | *'name resolution'* | *'unreachable'* | *'timed out'* | *'Max retries'* | *'SSLError'*)
      die "the package registry cannot be reached (pip says why above)" \
        "is there a network? Behind a proxy or a mirror, set HTTPS_PROXY or PIP_INDEX_URL; then run this again"
      ;;
  esac
  die "pip could not install the packages (it says why above; everything is in $log)" "mend that and run this again"
}

# OpenCV is in up to four packages that overwrite each other's files: opencv-python, the one with the contributed
# trackers (CSRT, KCF), and both of these without a window system. The last one written is the one that works, and all
# have to be of one version.
opencv_version() {
  "$python" -c '
from importlib.metadata import distributions
versions = {d.metadata["Name"]: d.version for d in distributions()}
print(versions.get("opencv-python") or versions["opencv-python-headless"])'
}

opencv_problem() {
  "$python" - <<'END' 2>&1
import sys
from importlib.metadata import distributions
try:
    import cv2
    cv2.imread, cv2.VideoCapture
except (ImportError, AttributeError) as error:
    print("library" if "cannot open shared object" in str(error) else "broken", error)
    sys.exit()
versions = {d.version for d in distributions() if d.metadata["Name"].startswith("opencv-")}
if not hasattr(cv2, "TrackerCSRT"):
    print("contrib: there is no TrackerCSRT in it")
elif len(versions) > 1:
    print("contrib: there is more than one version of it,", *sorted(versions))
END
}

install_opencv() {
  local problem version
  version="$(opencv_version)"
  problem="$(opencv_problem)"
  [ -n "$problem" ] || return 0
  if [ "${problem%% *}" != library ]; then
    pip install --quiet --force-reinstall --no-deps "opencv-contrib-python==$version"
    problem="$(opencv_problem)"
  fi
  if [ "${problem%% *}" = library ]; then
    say "OpenCV's windows need a library that this machine lacks (${problem#library }): OpenCV without windows is taken"
    pip uninstall --quiet --yes opencv-python opencv-contrib-python opencv-python-headless opencv-contrib-python-headless
    pip install --quiet --no-deps "opencv-python-headless==$version"
    pip install --quiet --no-deps "opencv-contrib-python-headless==$version"
    problem="$(opencv_problem)"
  fi
  [ -z "$problem" ] || die "OpenCV was installed but does not work: $problem"
}

# Compiled here and not by pip, which builds in a place of its own where there is no PyTorch. They are not needed.
build_kernels() {
  say "Compiling the kernels (about a minute)"
  (cd "$repo" && "$python" -m ltr.ops.build) >"$kernels_log" 2>&1 && return
  say "warning: not all of the kernels could be compiled, which costs speed only; $kernels_log says why"
}

# visdom is built from source by a setup.py that needs pkg_resources, which setuptools 81 has no more. So it is built with
# the setuptools of .venv, which every version of pip can be told to. It is not needed.
install_visdom() {
  rm -f "$visdom_log"
  "$python" -m pip --disable-pip-version-check --log "$visdom_log" install --quiet 'setuptools>=77,<81' wheel \
    >/dev/null 2>&1 &&
    "$python" -m pip --disable-pip-version-check --log "$visdom_log" install --quiet --no-build-isolation \
      --editable "$repo[view]" >/dev/null 2>&1
}

has_visdom() { "$python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("visdom") is None)'; }

place_page_scripts() {
  has_visdom || install_visdom || die "visdom could not be installed; $visdom_log says why" "mend that and run this again"
  cd "$repo" && exec "$python" -m pytracking.view.page_scripts
}

warn_of_small_disk() {
  local free
  free="$(df -Pk "$repo" | awk 'NR == 2 {print int($4 / 1024 / 1024)}')"
  [ "${free:-99}" -ge 7 ] || say "note: only $free GB are free here; about 7 are needed (2 with PyTorch for the CPU alone)"
}

install() {
  local base
  if [ -e "$unfinished" ]; then
    say "The last installation was cut off; .venv is made anew."
    rm -rf "$venv"
  elif [ -e "$venv" ] && ! { new_enough "$python" && "$python" -m pip --version >/dev/null 2>&1; }; then
    say "The Python in .venv does not work (any more); .venv is made anew."
    rm -rf "$venv"
  fi
  if [ ! -e "$venv" ]; then
    base="$(find_python)"
    warn_of_small_disk
    say "Making .venv with $base ($("$base" -c 'import platform; print(platform.python_version())'))"
    "$base" -m venv "$venv" || die "$base could not make $venv (see above)"
  fi
  # pip answers Ctrl-C with an ordinary failure, but leaves what it was doing half done.
  trap 'die "interrupted; the next call makes .venv anew (what is downloaded stays in the cache of pip)"' INT
  touch "$unfinished"
  : >"$log"
  say "Installing (first time: some minutes; most of it is PyTorch with its libraries for GPUs)"
  # One call for all, so that torch and torchvision are chosen to fit each other.
  pip install --editable "$repo[test,demo,compare]"
  install_opencv
  install_visdom ||
    say "warning: visdom could not be installed, so there is no live view; all else works; $visdom_log says why"
  build_kernels
  fingerprint >"$stamp"
  rm -f "$unfinished"
  trap - INT
  say "Installed in $venv"
}

# -- what to do ---------------------------------------------------------------------------------------------------

action="${1:-}"
case "$action" in
  "" | --demo | --test | --visdom) ;;
  -h | --help)
    usage
    exit
    ;;
  *) die "unknown option $action" "bash install.sh --help says what there is" ;;
esac
[ $# -eq 0 ] || shift

if installed; then
  [ -n "$action" ] || say "Already installed in $venv"
else
  install
fi
case "$action" in
  --demo) exec "$python" "$repo/pytracking/run_demo.py" "$@" ;;
  --test) cd "$repo" && exec "$python" -m pytest "$@" ;;
  --visdom) place_page_scripts ;;
  "") say "Next: bash install.sh --demo, or source .venv/bin/activate" ;;
esac
