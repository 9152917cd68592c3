#!/usr/bin/env bash
# All that has to pass, in this order, for developers and CI: `bash install.sh --test` runs it. Arguments are pytest's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PWD/.venv/bin:$PATH"
export NO_MKDOCS_2_WARNING=1  # a notice of its theme about other tools

step() {
  printf '== %s\n' "$*"
  "$@"
}

step ruff check
step ruff format --check ebm_common ltr pytracking tests benchmarks examples install_opencv.py
step mypy
step lint-imports --no-logo
step mkdocs build --strict --quiet --site-dir "$PWD/.venv/site"
step python -m pytest -n 2 --dist loadfile "$@"
