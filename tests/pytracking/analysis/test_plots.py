import re
import shutil
import subprocess
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex

from pytracking.analysis.metrics import Curves, SequenceScore
from pytracking.analysis.plots import PLOTS, draw, draw_all, svg, write_plots
from pytracking.analysis.radar import spokes
from pytracking.analysis.score_report import Report, TrackerScore
from pytracking.analysis.tikz import tikz

ATTRIBUTES = {"IV": ("Bolt", "Deer"), "OCC": ("Bolt",), "LR": ("Deer",)}


def report_of(count: int, attributes: dict | None = None) -> Report:
    """Trackers of falling quality, their order reversed in precision."""
    trackers = []
    for i in range(count):
        success = np.linspace(1, 0, 21) ** (0.2 + 0.4 * i)
        precision = np.linspace(0, 1, 51) ** (0.2 + 0.4 * (count - i))
        curves = Curves(success, precision, precision)
        scores = {
            name: SequenceScore(replace(curves, success=success * share), 8, 0, 0, 0, 0)
            for name, share in (("Bolt", 0.5), ("Deer", 1.0))
        }
        trackers.append(TrackerScore(f"tracker/{i}", (), curves, scores))
    return Report("OTB-100", ("Bolt", "Deer"), {}, False, tuple(trackers), (), attributes or {})


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
    before, backend = dict(matplotlib.rcParams), matplotlib.get_backend(auto_select=False)
    paths = write_plots(report_of(2), tmp_path / "plots")
    names = [
        f"{name}.{suffix}" for name in ("norm_precision", "precision", "success") for suffix in ("pdf", "png", "tex")
    ]
    assert sorted(path.name for path in paths) == names
    for path in paths:
        assert path.read_bytes()[:4] == {".png": b"\x89PNG", ".pdf": b"%PDF", ".tex": b"% Th"}[path.suffix]
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.get_backend(auto_select=False) == backend
    more = write_plots(report_of(2, ATTRIBUTES), tmp_path / "plots")
    assert {path.name for path in more} - set(names) == {"radar.png", "radar.pdf", "radar.tex"}


def test_the_same_report_gives_the_same_bytes(tmp_path):
    first, second = (write_plots(report_of(2, ATTRIBUTES), tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


HOSTILE = r"""_a&b%c$d$e#f{g}h\i~j^k<l>m|n"o"""


def hostile_report() -> Report:
    report = report_of(3, {"IV_$x": ("Bolt",), "OCC": ("Bolt",), "LR": ("Deer",)})
    return replace(report, dataset=HOSTILE, trackers=(replace(report.trackers[0], name=HOSTILE), *report.trackers[1:]))


def tikz_of(report: Report, folder) -> dict[str, str]:
    return {name: tikz(figure, folder / f"{name}.tex") for name, figure in draw_all(report).items()}


def test_radar_has_the_mean_auc_of_each_attribute_on_its_spoke():
    report = report_of(2, ATTRIBUTES)
    axes = draw_all(report)["radar"].axes[0]
    assert [text.get_text() for text in axes.texts if "(" in text.get_text()] == ["IV (2)", "OCC (1)", "LR (1)"]
    auc = 100 * report.trackers[1].overall.auc
    (line,) = (line for line in axes.get_lines() if line.get_label() == "tracker/1")
    np.testing.assert_allclose(line.get_xydata()[:3], spokes(3) * np.array([[0.75 * auc], [0.5 * auc], [auc]]))
    np.testing.assert_allclose(spokes(4), [[0, 1], [1, 0], [0, -1], [-1, 0]], atol=1e-12)


def test_no_radar_of_two_attributes():
    assert "radar" not in draw_all(report_of(2, {"IV": ("Bolt",), "OCC": ("Deer",)}))


def test_radar_texts_do_not_overlap():
    names = ("IV", "SV", "OCC", "DEF", "MB", "FM", "IPR", "OPR", "OV", "BC", "LR")
    figure = draw_all(report_of(5, dict.fromkeys(names, ("Bolt", "Deer"))))["radar"]
    figure.draw_without_rendering()
    texts = [text for text in figure.axes[0].texts if "(" in text.get_text()]
    boxes = [text.get_window_extent() for text in (*texts, figure.axes[0].title, *figure.legends)]
    assert len(texts) == 11
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and figure.bbox.y0 <= box.y0


@pytest.mark.parametrize("count", [1, 14])
def test_tikz_has_a_plot_and_a_legend_entry_for_each_tracker(tmp_path, count):
    codes = tikz_of(report_of(count, ATTRIBUTES), tmp_path)
    assert list(codes) == ["success", "precision", "norm_precision", "radar"]
    for code in codes.values():
        for environment in ("tikzpicture", "axis"):
            assert code.count(rf"\begin{{{environment}}}") == code.count(rf"\end{{{environment}}}") == 1
        entries = re.findall(r"\\addlegendentry\{(tracker/\d+)", code)
        assert sorted(entries) == sorted(f"tracker/{i}" for i in range(count))
        curves = [plot for plot in re.findall(r"\\addplot \[(.*?)\]\n", code) if "forget plot" not in plot]
        assert len(curves) == count
        assert len(set(curves)) == count  # every one looks different


def test_tikz_escapes_what_tex_would_read(tmp_path):
    codes = tikz_of(hostile_report(), tmp_path)
    escaped = (
        r"\_a\&b\%c\$d\$e\#f\{g\}h\textbackslash{}i\textasciitilde{}j\textasciicircum{}k"
        r"\textless{}l\textgreater{}m\textbar{}n\textquotedbl{}o"
    )
    for code in codes.values():
        assert rf"\addlegendentry{{{escaped}" in code
        assert f", {escaped} (2 sequences)}}" in code
        assert "tikztext" not in code
    assert r"{IV\_\$x (1)}" in codes["radar"]


def test_tikz_compiles(tmp_path):
    compiler = shutil.which("pdflatex")
    if compiler is None:
        pytest.skip("no pdflatex is installed")
    names = [path.name for path in write_plots(hostile_report(), tmp_path) if path.suffix == ".tex"]
    body = "".join(rf"\input{{{name}}}" for name in names)
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{pgfplots}\pgfplotsset{compat=newest}"
        rf"\begin{{document}}{body}\end{{document}}"
    )
    command = [compiler, "-interaction=nonstopmode", "-halt-on-error", "-draftmode", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]


def test_names_are_shown_as_they_are():
    assert labels(draw(hostile_report(), PLOTS[0]))[0].lstrip("\u200b").startswith(HOSTILE.replace("$", r"\$"))
    figure = draw_all(hostile_report())["success"]
    figure.draw_without_rendering()  # a formula that cannot be read would raise


def test_svg_stands_alone_in_a_page():
    first, second = (svg(figure, f"p{i}") for i, figure in enumerate(draw_all(report_of(2)).values()) if i < 2)
    assert first.startswith("<svg") and first.rstrip().endswith("</svg>")
    assert "http" not in first and "<!--" not in first
    ids, others = (set(re.findall(r' id="([^"]+)"', text)) for text in (first, second))
    assert ids and ids.isdisjoint(others)
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', first)) <= ids
