#!/usr/bin/env bash
# Makes .venv in this folder with everything in it, and runs the demo or the tests. See `bash install.sh --help`.
set -euo pipefail

repo="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
venv="$repo/.venv"
python="$venv/bin/python"
stamp="$venv/installed-from"   # the state of the project that the finished installation was made from
unfinished="$venv/unfinished"  # exists while pip is at work
export PIP_LOG="$venv/install.log" PIP_DISABLE_PIP_VERSION_CHECK=1

usage() {
  cat <<'END'
Usage: bash install.sh [--demo | --test | --visdom] [further options of the demo or of pytest]

  (nothing)  install into .venv, beside this script; if that is done, nothing happens
  --demo     install if needed, then track a generated benchmark and a real clip: tables, video and pictures in ./demo
  --test     install if needed, then run the checks and the tests (tests/check.sh)
  --visdom   install if needed, then place the scripts of the live view's page, from npm packages (needs npm)
  --help     show this text

You need Python 3.11 or newer with its venv module, about 7 GB of disk, and a network that reaches PyPI.
A C++ compiler (and nvcc) gives compiled kernels, which make a CPU several times as fast.

  PYTHON=/path/to/python3.12 bash install.sh
             chooses the Python (default: the first of python3.13, 3.12, 3.11 and python3 that will do)
  PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu bash install.sh
             without a GPU: PyTorch for the CPU alone, which is much smaller
Every other setting of pip (proxies, mirrors, caches) works as usual, by its variables or its configuration file.
END
}

die() {
  printf 'error: %s\n' "$1" >&2
  printf '       %s\n' "${@:2}" >&2
  exit 1
}

find_python() {
  local candidate candidates=(python3.13 python3.12 python3.11 python3)
  [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
    command -v "$candidate"
    return
  done
  die "no Python 3.11 or newer with its venv module was found (looked for ${candidates[*]})" \
    "Debian, Ubuntu: sudo apt install python3 python3-venv (for python3.12: python3.12-venv)" \
    "Fedora: sudo dnf install python3     macOS: brew install python     anywhere: uv python install 3.12" \
    "If you have one elsewhere: PYTHON=/path/to/python3 bash install.sh"
}

state() (  # a subshell: the caller's folder stays
  "$python" --version && cd "$repo" && cksum pyproject.toml install* ltr/ops/{build,libraries}.py ltr/ops/csrc/*
)

installed() { [ ! -e "$unfinished" ] && [ -f "$stamp" ] && [ "$(state 2>/dev/null)" = "$(cat "$stamp")" ]; }

# Runs a command that installs packages. If it fails, the error names the cause as far as pip's log tells it.
packages() {
  "$python" "$@" && return
  rm -f "$unfinished"  # pip has put back what it had changed
  case "$(grep -i -e error -e warning "$PIP_LOG" 2>/dev/null)" in
    *'o space left on device'* | *'uota exceeded'*)
      die "the disk is full: $venv needs about 7 GB, and downloads need some more while pip works" \
        "'TMPDIR=/a/larger/disk' moves the downloads, 'pip cache purge' empties pip's cache; then run this again" ;;
    *[Cc]'onnection'* | *'name resolution'* | *'unreachable'* | *'timed out'* | *'Max retries'* | *'SSLError'*)
      die "the package registry cannot be reached (pip says why above)" \
        "is there a network? Behind a proxy or a mirror, set HTTPS_PROXY or PIP_INDEX_URL; then run this again" ;;
  esac
  die "pip could not install the packages (it says why above; everything is in $PIP_LOG)" "fix that and run this again"
}

# visdom's setup.py needs pkg_resources, which setuptools 81 has no more; so .venv's own setuptools builds it.
install_visdom() {
  PIP_LOG="$venv/visdom.log"
  rm -f "$PIP_LOG"
  { "$python" -m pip install --quiet 'setuptools>=77,<81' wheel &&
    "$python" -m pip install --quiet --no-build-isolation --editable "$repo[view]"; } >/dev/null 2>&1
}

install() {
  if [ -e "$unfinished" ] || { [ -e "$venv" ] && ! "$python" -m pip --version >/dev/null 2>&1; }; then
    echo "The installation in .venv was cut off, or its Python does not work any more: .venv is rebuilt."
    rm -rf "$venv"
  fi
  if [ ! -e "$venv" ]; then
    local base
    base="$(find_python)"
    echo "Making .venv with $base"
    "$base" -m venv "$venv" || die "$base could not make $venv" "it says why above"
  fi
  # pip answers Ctrl-C with an ordinary failure, but leaves what it was doing half done.
  trap 'die "interrupted; the next call rebuilds .venv (what is downloaded stays in the cache of pip)"' INT
  touch "$unfinished"
  rm -f "$PIP_LOG"
  echo "Installing (first time: some minutes; most of it is PyTorch with its libraries for GPUs)"
  packages -m pip install --editable "$repo[test,docs,demo,compare,onnx]"  # one call, so that torch and torchvision fit
  packages "$repo/install_opencv.py"
  (install_visdom) || echo "warning: visdom could not be installed, so there is no live view; $venv/visdom.log says why"
  echo "Compiling the kernels (about a minute)"
  (cd "$repo" && "$python" -m ltr.ops.build) >"$venv/kernels.log" 2>&1 ||
    echo "warning: not all of the kernels could be compiled, which costs speed only; $venv/kernels.log says why"
  state >"$stamp"
  rm -f "$unfinished"
  trap - INT
  echo "Installed in $venv"
}

action="${1:-}"
case "$action" in
  "" | --demo | --test | --visdom) ;;
  -h | --help) usage && exit ;;
  *) die "unknown option $action" "bash install.sh --help lists the options" ;;
esac
if ! installed; then
  install
elif [ -z "$action" ]; then
  echo "Already installed in $venv"
fi
case "$action" in
  --demo) exec "$python" -m pytracking.commands.demo "${@:2}" ;;
  --test) exec bash "$repo/tests/check.sh" "${@:2}" ;;
  --visdom)
    "$python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("visdom") is None)' || (install_visdom) ||
      die "visdom could not be installed; $venv/visdom.log says why" "fix that and run this again"
    exec "$python" -m pytracking.view.page_scripts ;;
  "") echo "Next: bash install.sh --demo, or source .venv/bin/activate" ;;
esac
