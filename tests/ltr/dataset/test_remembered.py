"""What was read of a data set is remembered: equal to what the slow reader finds, and never older than the files."""

import errno
import json
import logging
import multiprocessing
import os
import pickle
import time
from pathlib import Path

import numpy as np
import pytest

from ltr.common.columns import Columns
from ltr.common.images import write_image
from ltr.dataset import (
    COCO,
    DatasetError,
    GOT10k,
    ImageFolder,
    LaSOT,
    TrackingNet,
    coco,
    read_coco_detection,
    remembered,
)

DAY = 86400


@pytest.fixture(autouse=True)
def remember_all(tmp_path, monkeypatch):
    """Data sets are remembered however small they are, in a folder of the test's own."""
    monkeypatch.setattr(remembered, "LEAST_SECONDS", 0.0)
    monkeypatch.setenv("EBM_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path, write_frames) -> Path:
    """All layouts in one folder, two videos of each, the files a day old."""
    root = tmp_path / "data"
    flags = {"got10k": ("absence.label", "cover.label"), "lasot": ("full_occlusion.txt", "out_of_view.txt")}
    for folder, images, flag_files in (
        ("TRAIN_0/frames/größe_0", "", ()), ("TRAIN_0/frames/-b_1", "", ()),
        ("train/GOT-10k_Train_000001", "", flags["got10k"]), ("train/GOT-10k_Train_000002", "", flags["got10k"]),
        ("bird/bird-1", "img", flags["lasot"]), ("bird/bird-2", "img", flags["lasot"]),
    ):  # fmt: skip
        place = root / folder
        numbers = range(3) if "TRAIN_0" in folder else range(1, 4)
        names = [f"{k}.jpg" if "TRAIN_0" in folder else f"{k:08d}.jpg" for k in numbers]
        write_frames(place / images, names)
        boxes = "".join(f"{k},{len(folder)},10,{k % 2}\n" for k in range(3))
        file = root / "TRAIN_0/anno" / f"{place.name}.txt" if "TRAIN_0" in folder else place / "groundtruth.txt"
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(boxes)
        for name in flag_files:
            (place / name).write_text("1\n0\n1\n")
    (root / "train/list.txt").write_text("GOT-10k_Train_000001\nGOT-10k_Train_000002\n")
    (root / "training_set.txt").write_text("bird-1\nbird-2\n")
    write_frames(root / "train2017", ["0.jpg", "1.jpg", "2.jpg"])
    (root / "annotations").mkdir()
    write_coco(root, [0, 1, 2, 0])
    write_frames(root / "cards", ["ä.jpg", "b.jpg"])
    rows = [{"file": f"cards/{name}.jpg", "set": name, "boxes": [[1, 2, 10, 11]]} for name in "äb"]
    (root / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    make_old(root)
    return root


def write_coco(root: Path, image_of: list[int]) -> None:
    content = {
        "categories": [{"id": 3, "name": "thing"}],
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 32, "height": 24} for i in range(4)],
        "annotations": [{"image_id": i, "category_id": 3, "bbox": [k, 2, 9, 9]} for k, i in enumerate(image_of)],
    }
    (root / "annotations/instances_train2017.json").write_text(json.dumps(content))


def make_old(root: Path, days: float = 1) -> None:
    when = time.time() - days * DAY
    for path in [root, *root.rglob("*")]:
        os.utime(path, (when, when))


READERS = {
    "trackingnet": lambda root: TrackingNet(root, [0]),
    "got10k": lambda root: GOT10k(root, split=None),
    "lasot": LaSOT,
    "coco": COCO,
    "coco_detection": read_coco_detection,
    "image_folder": ImageFolder,
}


def content(data) -> list:
    """All that a data set says."""
    if hasattr(data, "all_boxes"):
        arrays = (data.ids, data.sizes, data.offsets, data.all_boxes, data.all_labels)
        return [list(data.files), data.categories, data.skipped, *(array.tolist() for array in arrays)]
    return [
        [
            info.boxes.tolist(),
            info.visible.tolist(),
            info.is_video,
            *(str(data._frame_path(i, k)) for k in range(len(info))),
        ]
        for i, info in ((i, data.sequence(i)) for i in range(len(data)))
    ]


@pytest.fixture
def reads(monkeypatch) -> list[Path]:
    """The data sets that are read, and not remembered."""
    found, read = [], remembered._read
    monkeypatch.setattr(remembered, "_read", lambda *args: found.append(args[2]) or read(*args))
    return found


@pytest.mark.parametrize("name", READERS)
def test_what_is_remembered_equals_what_is_read(root, tmp_path, reads, monkeypatch, name):
    monkeypatch.setenv("EBM_CACHE", "/dev/null/none")
    expected = content(READERS[name](root))
    monkeypatch.setenv("EBM_CACHE", str(tmp_path / "cache"))
    for count in (2, 2, 2):
        data = READERS[name](root)
        assert content(data) == expected and len(reads) == count
        assert content(pickle.loads(pickle.dumps(data))) == expected and len(pickle.dumps(data)) < 2000
    (file,) = (tmp_path / "cache").iterdir()  # no lock and nothing half-written is left
    assert file.name.startswith(f"{name}-")


def boxes(data) -> list[float]:
    return [data.sequence(index).boxes[0, 0] for index in range(len(data))]


@pytest.mark.parametrize("name", ["trackingnet", "got10k", "lasot"])
def test_changed_annotations_and_frames_are_read_again(root, reads, name):
    assert boxes(READERS[name](root)) == [0, 0]
    for path in [*root.rglob("groundtruth.txt"), *root.rglob("anno/*.txt")]:
        path.write_text(path.read_text().replace("0,", "7,", 1))  # of the same size
    assert boxes(READERS[name](root)) == [7, 7] and len(reads) == 2
    make_old(root, 2)
    assert boxes(READERS[name](root)) == [7, 7] and len(reads) == 3
    for image in root.rglob("*1.jpg"):
        image.unlink()
    with pytest.raises(DatasetError, match=f"none of the 2 sequences of {name} can be used"):
        READERS[name](root)


def test_of_an_annotation_file_the_content_counts_and_not_the_time(root, reads):
    assert boxes(COCO(root)) == [0, 1, 2, 3]
    os.utime(root / "annotations/instances_train2017.json")
    assert boxes(COCO(root)) == [0, 1, 2, 3] and len(reads) == 1
    write_coco(root, [1, 0, 2, 0])  # of the same size
    assert COCO(root)._frame_path(0, 0).name == "1.jpg" and len(reads) == 2


def test_what_is_read_anew_replaces_what_was_remembered(root, tmp_path):
    source, watched = root / "index.jsonl", [root / "cards", root / "train2017"]
    os.utime(watched[0], (time.time() - 3 * DAY,) * 2)
    for days in (1, 2):
        source.write_text(f"{days}")
        os.utime(source, (time.time() - days * DAY,) * 2)
        found = remembered.Reading({"days": np.array([days])}, watched[::-1] if days == 2 else watched)
        columns = remembered.remembered("any", None, root, lambda found=found: found, source)
        assert columns["days"] == days and len(list((tmp_path / "cache").iterdir())) == 1


def test_images_that_come_and_go_or_are_changed_are_seen(root, reads):
    assert len(COCO(root)) == len(ImageFolder(root)) + 2 == 4 and len(reads) == 2
    (root / "train2017/2.jpg").unlink()
    write_image(root / "cards/b.jpg", np.zeros((30, 40, 3), np.uint8))
    assert len(COCO(root)) == 3 and len(reads) == 3
    assert len(ImageFolder(root)) == 2 and len(reads) == 4


@pytest.mark.parametrize("count, watched", [(0, 0), (1, 1), (64, 64), (127, 64), (100_000, 64)])
def test_of_many_images_64_are_watched(count, watched):
    numbers = [int(path.name) for path in remembered.spread([Path(f"{k}") for k in range(count)])]
    assert len(set(numbers)) == watched and numbers[:1] + numbers[-1:] == ([0, count - 1] if count else [])
    assert np.diff(numbers).max(initial=0) <= count / 63 + 1


def test_what_has_just_been_changed_is_not_remembered(root, reads):
    (root / "train2017/more.txt").touch()  # another change may follow within the same tick of the clock
    for count in (1, 2):
        assert len(COCO(root)) == 4 and len(reads) == count


def test_what_changes_while_it_is_read_is_not_remembered(root, reads, monkeypatch):
    read = coco._read

    def slowly(part):
        reading = read(part)
        write_coco(root, [1, 0, 2, 0])  # of the same size, and as old: it was unpacked in the place of the other
        make_old(root, 2)
        return reading

    with monkeypatch.context() as patch:
        patch.setattr(coco, "_read", slowly)
        assert COCO(root)._frame_path(0, 0).name == "0.jpg"
    for count in (2, 2):
        assert COCO(root)._frame_path(0, 0).name == "1.jpg" and len(reads) == count


def test_a_copy_at_another_place_is_the_same_data_set(root, tmp_path, reads, caplog):
    before = content(COCO(root))
    caplog.clear()
    moved = root.rename(tmp_path / "moved")
    assert content(COCO(moved)) == json.loads(json.dumps(before).replace(str(root), str(moved))) and len(reads) == 1
    assert f"{moved}/train2017 lacks 1 of the 4 images" in caplog.text and str(root) not in caplog.text


def test_warnings_are_given_at_every_start(root, reads, caplog):
    (root / "bird/bird-1/groundtruth.txt").write_text("1,2,3\n")
    (root / "bird/bird-2/out_of_view.txt").unlink()
    make_old(root)
    for _ in range(2):
        caplog.clear()
        assert LaSOT(root).sequences == ["bird-2"]
        levels = [(record.levelno, record.getMessage()) for record in caplog.records]
        assert [level for level, _ in levels] == [logging.WARNING] * 2
        assert levels[0][1].startswith("1 of 2 sequences of lasot are left out; the first: ")
        assert levels[1][1].startswith("lasot lacks 1 label files")
    assert len(reads) == 1


def test_a_damaged_file_is_one_line_and_made_anew(root, tmp_path, reads, caplog):
    expected = content(TrackingNet(root, [0]))
    (file,) = (tmp_path / "cache").iterdir()
    whole = file.read_bytes()
    box = np.float32(expected[1][0][2]).tobytes()
    for count, damaged in enumerate(
        [b"", whole[:-100], whole.replace(b"{", b"?", 1), whole.replace(box, box[::-1])], 2
    ):
        file.write_bytes(damaged)
        caplog.clear()
        assert content(TrackingNet(root, [0])) == expected and len(reads) == count
        (record,) = caplog.records
        assert f"{file} is damaged" in record.getMessage() and "\n" not in record.getMessage()
        assert file.read_bytes()[:100] == whole[:100]


def test_without_room_it_works_and_says_so_in_one_line(root, tmp_path, reads, caplog, monkeypatch):
    def full(self, file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    expected = content(TrackingNet(root, [0]))
    monkeypatch.setenv("EBM_CACHE", str(tmp_path / "full"))
    with monkeypatch.context() as patch:
        patch.setattr(Columns, "write", full)
        data = TrackingNet(root, [0])
    assert content(pickle.loads(pickle.dumps(data))) == expected
    (record,) = caplog.records
    assert "No space left on device" in record.getMessage() and "set EBM_CACHE" in record.getMessage()
    monkeypatch.setenv("EBM_CACHE", "/dev/null/none")
    assert content(TrackingNet(root, [0])) == expected and "/dev/null/none" in caplog.records[1].getMessage()


def test_a_folder_that_can_only_be_read_serves_what_it_has(root, reads, monkeypatch, caplog):
    expected = content(TrackingNet(root, [0]))

    def refused(*args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for name in ("locked", "os.utime"):
        monkeypatch.setattr(f"ltr.dataset.remembered.{name}", refused)
    assert content(TrackingNet(root, [0])) == expected and len(reads) == 1 and not caplog.records


def test_of_two_processes_one_reads(root, tmp_path):
    context = multiprocessing.get_context("fork")
    log = tmp_path / "log"
    processes = [context.Process(target=_slow_start, args=(root, log)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert log.read_text().split() == ["read", "opened", "opened", "opened"]


def _slow_start(root: Path, log: Path) -> None:
    read = TrackingNet._read_all

    def slowly(self, names):
        with open(log, "a") as file:
            file.write("read\n")
        time.sleep(0.3)
        return read(self, names)

    TrackingNet._read_all = slowly
    data = TrackingNet(root, [0])
    with open(log, "a") as file:
        file.write("opened\n" if boxes(data) == [0, 0] else "wrong\n")


def test_small_data_sets_leave_no_file(root, tmp_path, monkeypatch):
    monkeypatch.setattr(remembered, "LEAST_SECONDS", 60.0)
    assert len(TrackingNet(root, [0])) == 2
    assert not list((tmp_path / "cache").iterdir())


def test_what_nobody_used_for_a_month_is_removed(root, tmp_path):
    for folder, days in (("cache/coco-1-1.columns", 31), ("cache/coco-2-2.columns", 29), ("cache/mine.txt", 99)):
        file = tmp_path / folder
        file.parent.mkdir(exist_ok=True)
        file.touch()
        os.utime(file, (time.time() - days * DAY,) * 2)
    TrackingNet(root, [0])
    names = sorted(file.name.partition("-")[0] for file in (tmp_path / "cache").iterdir())
    assert names == ["coco", "mine.txt", "trackingnet"]


@pytest.mark.data
def test_real_annotations_are_remembered_as_they_are_read(shared_data, tmp_path, reads, monkeypatch):
    expected = content(COCO(shared_data / "coco"))
    assert content(COCO(shared_data / "coco")) == expected and len(reads) == 1
