import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex

from pytracking.analysis.metrics import Curves
from pytracking.analysis.plots import PLOTS, draw, write_plots
from pytracking.analysis.scoring import Report, TrackerScore


def report_of(count: int) -> Report:
    """Trackers of falling quality, their order reversed in precision."""
    trackers = []
    for i in range(count):
        success = np.linspace(1, 0, 21) ** (0.2 + 0.4 * i)
        precision = np.linspace(0, 1, 51) ** (0.2 + 0.4 * (count - i))
        trackers.append(TrackerScore(f"tracker/{i}", (), Curves(success, precision, precision), {}))
    return Report("OTB-100", ("Bolt", "Deer"), {}, False, tuple(trackers), ())


def labels(figure):
    legend = figure.axes[0].get_legend() or figure.legends[0]
    return [text.get_text() for text in legend.get_texts()]


def test_legend_is_sorted_by_the_score_it_shows():
    report = report_of(3)
    success, precision = draw(report, PLOTS[0]), draw(report, PLOTS[1])
    assert labels(success)[0] == f"tracker/0 [{100 * report.trackers[0].overall.auc:.1f}]"
    assert labels(precision)[0] == f"tracker/2 [{100 * report.trackers[2].overall.precision20:.1f}]"


def test_lines_are_distinct_and_the_same_in_every_plot():
    report = report_of(28)
    looks = []
    for plot in PLOTS:
        lines = [line for line in draw(report, plot).axes[0].get_lines() if line.get_label().startswith("tracker")]
        looks.append(
            {
                line.get_label().split()[0]: (to_hex(line.get_color()), str(line._unscaled_dash_pattern))
                for line in lines
            }
        )
    assert len(set(looks[0].values())) == 28
    assert looks[0] == looks[1] == looks[2]


@pytest.mark.parametrize("count", [1, 4, 14])
def test_legend_covers_no_curve(count):
    for plot in PLOTS:
        figure = draw(report_of(count), plot)
        figure.draw_without_rendering()
        axes = figure.axes[0]
        legend = axes.get_legend() or figure.legends[0]
        box = legend.get_window_extent()
        for line in axes.get_lines()[:count]:
            assert not box.count_contains(axes.transData.transform(line.get_xydata()))
        assert 0 <= box.x0 and 0 <= box.y0 and box.x1 <= figure.bbox.x1


def test_files_are_written_and_the_hosts_settings_stay(tmp_path):
    before = dict(matplotlib.rcParams)
    backend, pyplot = matplotlib.get_backend(auto_select=False), "matplotlib.pyplot" in sys.modules
    paths = write_plots(report_of(2), tmp_path / "plots")
    assert sorted(path.name for path in paths) == [
        "norm_precision.pdf",
        "norm_precision.png",
        "precision.pdf",
        "precision.png",
        "success.pdf",
        "success.png",
    ]
    for path in paths:
        assert path.read_bytes()[:4] in (b"\x89PNG", b"%PDF")
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.get_backend(auto_select=False) == backend
    assert ("matplotlib.pyplot" in sys.modules) == pyplot


def test_the_same_report_gives_the_same_bytes(tmp_path):
    first, second = (write_plots(report_of(2), tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
