"""The page by the command, from folders on disk, read by a parser and by a browser."""

import json
import os
import stat
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from pytracking.analysis.box_files import Annotation
from pytracking.analysis.html_report import write_html
from pytracking.analysis.scoring import score_results
from pytracking.analysis.tracker_results import external_results
from pytracking.commands.analyse import main

TRUTH = np.tile([10, 20, 40, 30.0], (8, 1))
EVIL = "<script>document.title='evil'</script>&\"'><img src=http:evil.example>"
VOID = {"meta", "link", "img", "br", "input", "hr"}


class Page(HTMLParser):
    """Elements with their attributes, the text, and the rows of every table."""

    def __init__(self, html: str):
        super().__init__()
        self.elements, self.text, self.tables, self.open = [], "", [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text += data
            if {"td", "th"} & set(self.open):
                self.tables[-1][-1][-1] += data

    def table(self, *first_cells: str) -> dict[str, list[str]]:
        """Rows by their first cell, of the table whose heading begins with these cells."""
        (rows,) = (rows for rows in self.tables if tuple(rows[0][: len(first_cells)]) == first_cells)
        return {row[0]: row[1:] for row in rows}


def assert_self_contained(page: Page, html: str) -> None:
    assert page.open == []
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "action", "data", "srcset", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, value)
        assert not any(name.startswith("on") for name in attributes), tag
    assert "@import" not in html
    assert not any(part.startswith(("http", "//", '"http', "'http")) for part in html.split("url(")[1:])


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Three sequences with images, one with attributes, and results of three trackers; one has a hostile name."""
    for name in ("Cat", "Dog", EVIL.replace("/", "")):
        folder = tmp_path / "data" / name
        (folder / "img").mkdir(parents=True)
        for i in range(1, 9):
            cv2.imwrite(str(folder / "img" / f"{i:04d}.jpg"), np.full((120, 160, 3), 20 * i, np.uint8))
        np.savetxt(folder / "groundtruth_rect.txt", TRUTH, "%g", delimiter=",")
        for run, good in {"atom/ebm": 8, "opencv/csrt": 4, f"atom/{EVIL.replace('/', '')}": 2}.items():
            folder = tmp_path / "tracking_results" / run
            folder.mkdir(parents=True, exist_ok=True)
            count = good - (name == "Dog")
            boxes = TRUTH + np.where(np.arange(8) < count, 0, 500)[:, None] * [1, 0, 0, 0]
            np.savetxt(folder / f"{name}.txt", boxes, "%.4f", delimiter="\t")
            np.savetxt(folder / f"{name}_time.txt", np.full(8, 0.1))
    (tmp_path / "data" / "Cat" / "attributes.txt").write_text("LR OCC <b>night</b>")
    (tmp_path / "data" / "Dog" / "attributes.txt").write_text("LR")
    record = {
        "made_with": {"seed": 7, "settings": {"a": EVIL}},
        "runs": [{"device": "cpu (Z80)", "threads": n} for n in (2, 0)],
    }
    (tmp_path / "tracking_results" / "atom" / "ebm" / "run.json").write_text(json.dumps(record))
    (tmp_path / "tracking_results" / "opencv" / "csrt" / "run.json").write_text('["not", "a record"]')
    for variable in [name for name in os.environ if name.startswith("EBM_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(path) -> tuple[Page, str]:
    html = path.read_text()
    page = Page(html)
    assert_self_contained(page, html)
    return page, html


def test_page_has_every_name_and_the_scored_numbers(tree, capsys):
    main(["report", "--dataset_name", "data", "--out", "out"])
    assert capsys.readouterr().out == "written: out/report.html\n"
    page, html = read(tree / "out" / "report.html")
    evil_tracker, evil_sequence = f"atom/{EVIL.replace('/', '')}", EVIL.replace("/", "")

    main(["table", "--dataset_name", "data", "--out", "out"])
    scored = json.loads((tree / "out" / "results.json").read_text())["trackers"]
    overall = page.table("Tracker", "AUC", "OP50")
    assert set(overall) == {"Tracker", "atom/ebm", "opencv/csrt", evil_tracker}
    by_sequence = page.table("Sequence", "Frames")
    assert set(by_sequence) == {"Sequence", "Cat", "Dog", evil_sequence}
    by_attribute = page.table("Tracker", "OCC", "LR", "<b>night</b>")
    for name, score in scored.items():
        keys = ("auc", "op50", "op75", "precision", "norm_precision")
        assert overall[name] == [*(f"{100 * score['overall'][key]:.1f}" for key in keys), "10.0"]
        column = by_sequence["Sequence"].index(name)
        for sequence, of in score["sequences"].items():
            assert by_sequence[sequence][column] == f"{100 * of['auc']:.1f}"
        cat, dog = (score["sequences"][sequence]["auc"] for sequence in ("Cat", "Dog"))
        assert by_attribute[name] == [f"{100 * auc:.1f}" for auc in (cat, (cat + dog) / 2, cat)]
    assert "3 trackers scored on 3 sequences (24 frames)." in " ".join(page.text.split())
    # The names are plain text.
    assert sum(tag == "script" for tag, _ in page.elements) == 1
    assert "<b>" not in html
    images = [attributes["src"] for tag, attributes in page.elements if tag == "img"]
    assert len(images) == 3 * 4 and all(source.startswith("data:image/jpeg;base64,") for source in images)
    assert page.elements.count(("img", {})) == 0


def test_the_best_are_marked(tree):
    main(["report", "--dataset_name", "data", "--out", "out"])
    page, _ = read(tree / "out" / "report.html")
    marked = [attributes for tag, attributes in page.elements if tag == "td" and "best" in attributes.get("class", "")]
    # Of every table each column (5 rates, 3 attributes) or row (3 sequences); the speeds of all three are the same.
    assert len(marked) == 5 + 3 + 3 + 3 + 3
    main(["table", "--dataset_name", "data", "--out", "out"])
    best = json.loads((tree / "out" / "results.json").read_text())["trackers"]["atom/ebm"]["overall"]
    shown = [float(attributes["data-value"]) for attributes in marked[:5]]
    assert shown == [best[key] for key in ("auc", "op50", "op75", "precision", "norm_precision")]


def test_how_the_results_were_made(tree):
    main(["report", "--dataset_name", "data", "--out", "out"])
    page, _ = read(tree / "out" / "report.html")
    speed = page.table("Tracker", "Frames/s")
    assert speed["atom/ebm"] == ["10.0", "", "cpu (Z80)", "2, 1"]
    assert speed["opencv/csrt"][2:] == ["not recorded", "not recorded"]
    assert "seed7" in page.text.replace("\n", "")
    assert json.dumps(EVIL) in page.text
    assert "These results have no record (run.json)." in page.text


def test_missing_sequences_and_images_are_named(tree, capsys):
    (tree / "tracking_results" / "opencv" / "csrt" / "Cat.txt").unlink()
    (tree / "data" / "Dog" / "img" / "0008.jpg").write_bytes(b"no image")
    main(["report", "--dataset_name", "data"])
    page, _ = read(tree / "tracking_results" / "analysis" / "data" / "report.html")
    text = " ".join(page.text.split())
    assert "scored on 2 of 3 sequences" in text
    assert "1 sequence is not scored, because some tracker has no result of it: Cat." in text
    assert "no result of opencv/csrt for 1 of 3 sequences: Cat" in text
    assert "No frames to show: " in text and "0008.jpg" in text


def test_annotations_without_images(tree):
    (tree / "truth").mkdir()
    for name in ("Cat", "Dog"):
        np.savetxt(tree / "truth" / f"{name}.txt", TRUTH)
    main(["report", "--annotations", "truth", "--trackers", "atom/ebm", "--out", "out", "--title", "<i>Toy</i>"])
    page, _ = read(tree / "out" / "report.html")
    _, after = page.text.split("No frames to show: the ground truth has no images.")  # said once
    assert "ground truth" not in after  # no legend of boxes
    assert "Highest AUC of atom/ebm" in page.text
    assert "<i>Toy</i>" in page.text
    assert not any(tag == "img" for tag, _ in page.elements)
    assert "By attribute" not in page.text


def test_merged_runs_have_their_spread(tree):
    runs = tree / "tracking_results" / "atom"
    (runs / "ebm").rename(runs / "ebm_000")
    (tree / "tracking_results" / "opencv" / "csrt").rename(runs / "ebm_001")
    main(["report", "--dataset_name", "data", "--merge_runs", "--out", "out"])
    page, _ = read(tree / "out" / "report.html")
    row = page.table("Tracker", "AUC")["atom/ebm (2 runs)"]
    assert all(" ± " in cell for cell in row[:5])
    assert "± is the standard deviation" in page.text


def fails(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and "Traceback" not in error
    return error.splitlines()[-1]


def test_bad_requests(tree, capsys):
    assert "cannot be created" in fails(
        capsys, "report", "--dataset_name", "data", "--out", "data/Cat/attributes.txt/x"
    )
    assert "no result on data" in fails(capsys, "report", "--dataset_name", "data", "--results", "data")
    (tree / "out" / "report.html").mkdir(parents=True)
    assert "out/report.html cannot be written" in fails(capsys, "report", "--dataset_name", "data", "--out", "out")
    assert [path.name for path in (tree / "out").iterdir()] == ["report.html"]  # nothing half-written beside it


def test_a_file_others_can_read(tree):
    path = write_html(*_toy(tree), tree / "new" / "folder")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()


def _toy(tree):
    truth = [Annotation(name, TRUTH) for name in ("Cat", "Dog")]
    results = external_results("x", tree / "tracking_results" / "atom" / "ebm", ["Cat", "Dog"])
    return score_results("toy", truth, results), truth


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("width", [1200, 400])
def test_in_a_browser(tree, browser, width):
    main(["report", "--dataset_name", "data", "--out", "out"])
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    )
    try:
        browser.get("about:blank")
        browser.get_log("browser"), browser.get_log("performance")
        page = (tree / "out" / "report.html").resolve().as_uri()
        browser.get(page)
        assert browser.get_log("browser") == []
        messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        requests = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        assert page in requests
        assert [url for url in requests if url != page and not url.startswith("data:")] == []
        assert browser.execute_script("return innerWidth") == width
        assert browser.execute_script("return document.scrollingElement.scrollWidth") <= width
        assert "evil" not in browser.title[:5] and browser.title.startswith("data")
        assert browser.execute_script("return [...document.images].every((image) => image.naturalWidth > 0)")
        # A click on a head sorts, a second one reverses.
        column = "[...document.querySelectorAll('#sequences tbody tr')].map((row) => row.cells[0].textContent)"
        head = browser.find_element("css selector", "#sequences thead th")
        orders = []
        for _ in range(2):
            browser.execute_script("arguments[0].click()", head)
            orders.append(browser.execute_script(f"return {column}"))
        assert orders[1] == orders[0][::-1] and sorted(orders[0]) != orders[0][::-1]
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.get("about:blank")
