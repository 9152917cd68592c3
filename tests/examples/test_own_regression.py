"""The example of docs/regression.md runs as it stands, and its density covers what was measured."""

import os
import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_fits_a_density_that_covers_the_data(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "own_regression.py"), "picture.png"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    said = re.fullmatch(r"(\d+)% of the measurements lie within their 80% region; picture: picture.png\n", done.stdout)
    assert said and 72 <= int(said[1]) <= 90
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.size == (750, 420)
        colours = {rgb for _, rgb in picture.convert("RGB").getcolors(1 << 20)}
    assert len(colours) > 200  # a density, not an empty frame
