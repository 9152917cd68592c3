"""The example of the README runs as it stands, and its density covers what was measured."""

import re
import runpy
from pathlib import Path

import pytest
from PIL import Image

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_regression.py"


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # matplotlib asks tensors for it
def test_the_example_fits_a_density_that_covers_the_data(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["own_regression.py", "picture.png"])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    out = capsys.readouterr().out
    said = re.fullmatch(r"(\d+)% of the measurements lie within their 80% region; picture: picture.png\n", out)
    assert said and 72 <= int(said[1]) <= 90
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.size == (750, 420)
        colours = {rgb for _, rgb in picture.convert("RGB").getcolors(1 << 20)}
    assert len(colours) > 200  # a density, not an empty frame
