"""The benchmarks as published, in miniature: their lists, frames, pixel origins and visibility."""

import json
from importlib import resources

import numpy as np
import pytest

from ltr.common.errors import UserError
from ltr.common.frame_order import FrameOrderError, find_images, order_frames
from pytracking.evaluation.datasets import ALIASES, BENCHMARKS, DatasetError, benchmark_name, get_dataset
from pytracking.evaluation.datasets.files import read_boxes, read_images
from pytracking.evaluation.datasets.lasot import LASOT_EXTENSION, LASOT_TESTING
from pytracking.evaluation.datasets.tcolor128 import TPL_OF_OTB, TPL_SIZE
from pytracking.evaluation.datasets.uav import UAV_FRAMES, uav_frames
from pytracking.evaluation.datasets.vot import read_annotation
from tests.helpers import benchmark_trees as trees
from tests.helpers.evaluation_fakes import write_sequence


def test_got10k_val(tmp_path):
    trees.write_got10k(tmp_path)
    dataset = get_dataset("got10k_val", root=tmp_path)
    assert dataset.summary() == f"GOT-10k val: 2 of 180 targets found under {tmp_path / 'val'}"
    sequence = dataset["GOT-10k_Val_000001"]
    assert [frame.name for frame in sequence.frames[:2]] == ["00000001.jpg", "00000002.jpg"]
    np.testing.assert_array_equal(sequence.first_box, [5, 6, 16, 12])
    assert sequence.visible.tolist() == [True, True, True, False, True, True]
    assert (sequence.image_size, sequence.scoring, sequence.scored_by) == ((trees.WIDTH, trees.HEIGHT), "got10k", "")
    assert len(get_dataset("got10k_val", root=tmp_path / "val")) == 2  # the folder of the split itself


def test_one_line_of_truth(tmp_path):
    trees.write_got10k(tmp_path / "got", "test")
    dataset = get_dataset("got10k_test", root=tmp_path / "got")
    assert [len(sequence) for sequence in dataset] == [6, 6]
    assert np.isnan(dataset[0].ground_truth[1:]).all()
    assert "http://got-10k.aitestunion.com" in dataset[0].scored_by
    assert "the annotation after the first box is kept by GOT-10k's server" in dataset.summary()
    trees.write_trackingnet(tmp_path / "tn")
    dataset = get_dataset("trackingnet", root=tmp_path / "tn")
    assert dataset.summary().startswith("TrackingNet: 2 of 511 targets")
    # Without leading zeros, 10 comes after 9.
    assert [frame.stem for frame in dataset[0].frames] == [str(number) for number in range(12)]
    assert "eval.tracking-net.org" in dataset[0].scored_by


def test_lasot_counts_from_one_and_its_extension_from_zero(tmp_path):
    trees.write_lasot(tmp_path / "lasot")
    trees.write_lasot(tmp_path / "ext", ["atv-1", "wingsuit-10"])
    lasot = get_dataset("lasot", root=tmp_path / "lasot")
    assert (lasot.expected, len(lasot), lasot["bus-2"].origin) == (280, 2, 1)
    assert len(lasot["bus-2"]) == 6  # of seven images
    assert lasot["bus-2"].visible.tolist() == [True, True, False, True, False, True]
    extension = get_dataset("lasot_extension_subset", root=tmp_path / "ext")
    assert (extension.expected, len(extension), extension[0].origin) == (150, 2, 0)
    with pytest.raises(DatasetError, match="no sequences of LaSOT were found .*category/category-1/"):
        get_dataset("lasot", root=tmp_path / "ext")
    assert (len(set(LASOT_TESTING)), len(set(LASOT_EXTENSION))) == (280, 150)


def test_lasot_testing_is_that_of_the_got10k_toolkit():
    pytest.importorskip("got10k.datasets")
    published = json.loads((resources.files("got10k.datasets") / "lasot.json").read_text())
    assert set(LASOT_TESTING) == set(published["test"])


def test_uav_at_both_rates(tmp_path):
    trees.write_uav(tmp_path / "30", {"uav6": (1, 109), "person2_s": (1, 250)})
    dataset = get_dataset("uav", root=tmp_path / "30")
    assert dataset.summary() == f"UAV123: 2 of 123 targets found under {tmp_path / '30'}"
    assert dataset["uav_uav6"].attributes == ("SV", "LR", "SOB")
    assert np.isnan(dataset["uav_uav6"].ground_truth[5]).all() and dataset["uav_uav6"].origin == 0
    trees.write_uav(tmp_path / "10", {"uav6": (1, 37), "person8_2": (359, 509)}, "UAV123_10fps")
    slow = get_dataset("uav123_10fps", root=tmp_path / "10")
    assert [sequence.name for sequence in slow] == ["uav10_person8_2", "uav10_uav6"]
    frames = slow["uav10_person8_2"].frames
    assert (frames[0].parent.name, frames[0].stem, frames[-1].stem) == ("person8", "000359", "000509")


def test_uav_frames_are_those_of_the_got10k_toolkit_and_of_the_version_at_10_frames_per_second():
    assert len(UAV_FRAMES) == 123
    lengths = [[last - first + 1 for first, last in (uav_frames(n, every) for n in UAV_FRAMES)] for every in (1, 3)]
    assert [sum(each) for each in lengths] == [112_578, 37_607]  # published counts
    for name, frames in {
        "bird1_2": (259, 493),
        "car6_5": (1309, 1621),
        "car1_s": (1, 492),
        "uav1_3": (825, 1157),
    }.items():
        assert uav_frames(name, 3) == frames
    pytest.importorskip("got10k.datasets")
    published = json.loads((resources.files("got10k.datasets") / "uav123.json").read_text())["UAV123"]
    assert {n: uav_frames(n) for n in UAV_FRAMES} == {
        n: (s["start_frame"], s["end_frame"]) for n, s in published.items()
    }


def test_temple_color(tmp_path):
    trees.write_tpl(tmp_path, {"Bee_ce": (1, 6), "David": (300, 306), "tpl_Yo_yos_ce1": (1, 4)})
    dataset = get_dataset("tc128", root=tmp_path)
    assert [sequence.name for sequence in dataset] == ["tpl_Bee_ce", "tpl_David", "tpl_Yo_yos_ce1"]
    assert (dataset["tpl_David"].frames[0].name, dataset["tpl_David"].origin) == ("0300.jpg", 1)
    (tmp_path / "David" / "David_frames.txt").unlink()  # the range is known
    assert get_dataset("tpl", root=tmp_path)["tpl_David"].frames[-1].name == "0306.jpg"
    assert [sequence.name for sequence in get_dataset("tpl_nootb", root=tmp_path)] == ["tpl_Bee_ce", "tpl_Yo_yos_ce1"]
    assert (TPL_SIZE, len(set(TPL_OF_OTB))) == (129, 44)
    (tmp_path / "Bee_ce" / "Bee_ce_frames.txt").write_text("1,90")
    assert "6 lines, but Bee_ce_frames.txt names the frames 1 to 90" in str(
        get_dataset("tpl", root=tmp_path).problems["tpl_Bee_ce"]
    )


def test_dtb70(tmp_path):
    dataset = get_dataset("dtb70", root=trees.write_dtb70(tmp_path))
    assert (dataset.expected, len(dataset), dataset["dtb70_Yacht4"].origin) == (70, 2, 1)


def test_vot_regions_become_upright_boxes(tmp_path):
    trees.write_vot(tmp_path)
    dataset = get_dataset("vot", root=tmp_path)
    assert dataset.summary() == f"VOT: 3 of 3 targets found under {tmp_path / 'sequences'}"
    np.testing.assert_array_equal(dataset["ants1"].ground_truth[1], [6, 6, 16, 12])
    np.testing.assert_array_equal(dataset["cup"].ground_truth[1], [5 + 3, 5 + 2, 10, 8])
    assert np.isnan(dataset["ball1"].ground_truth[3]).all() and dataset["ball1"].origin == 0
    assert len(get_dataset("vot", root=tmp_path / "sequences")) == 3


def test_vot_until_2017_has_its_images_beside_the_annotation(tmp_path):
    trees.write_vot(tmp_path)
    root = tmp_path / "sequences"
    for images in root.glob("*/color"):
        for image in images.iterdir():
            image.rename(images.parent / image.name)
        images.rmdir()
    named, found = get_dataset("vot", root=root), get_dataset(root)
    for name in ("ants1", "ball1", "cup"):
        assert named[name].frames == found[name].frames and found[name].origin == 0
        np.testing.assert_array_equal(named[name].ground_truth, found[name].ground_truth)


@pytest.mark.parametrize(
    "line", ["1,2,3", "1,2,3,4,5", "m1,2,3", "m0,0,4,4,99", "m0,0,-4,4,1", "m0,0,99999999,99999999,1", "a,b,c,d", "mm"]
)
def test_lines_that_are_no_vot_region(tmp_path, line):
    file = tmp_path / "groundtruth.txt"
    file.write_text(f"1,2,3,4\n{line}\n")
    with pytest.raises(DatasetError, match="line 2: expected x,y,w,h, a polygon or a mask"):
        read_annotation(file)


def test_a_mask_of_the_toolkit_is_read_as_the_toolkit_reads_it(tmp_path):
    mask = np.random.default_rng(0).random((9, 7)) > 0.8
    rows, columns = np.nonzero(mask)
    file = tmp_path / "groundtruth.txt"
    file.write_text(f"{trees.mask_line(20, 30, mask)}\n0\n{trees.mask_line(0, 0, np.zeros((3, 3), bool))}")
    boxes = read_annotation(file)
    expected = [20 + columns.min(), 30 + rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    np.testing.assert_array_equal(boxes[0], expected)
    assert np.isnan(boxes[1:]).all()


def test_half_copied_sets_run_what_is_there_and_name_the_rest(tmp_path):
    trees.write_got10k(tmp_path / "got", names=3)
    (tmp_path / "got/val/GOT-10k_Val_000002/00000005.jpg").unlink()
    dataset = get_dataset("got10k_val", root=tmp_path / "got")
    assert [sequence.name[-1] for sequence in dataset] == ["1", "3"]
    assert "1 of its 6 images are not in" in str(dataset.problems["GOT-10k_Val_000002"])
    assert "00000005.jpg" in str(dataset.problems["GOT-10k_Val_000002"])
    trees.write_lasot(tmp_path / "lasot")
    (tmp_path / "lasot/bus/bus-2/full_occlusion.txt").write_text("0,1")
    assert "2 values for 6 boxes" in str(get_dataset("lasot", root=tmp_path / "lasot").problems["bus-2"])
    trees.write_uav(tmp_path / "uav", {"uav6": (1, 109), "uav5": (1, 100)})
    problems = get_dataset("uav", root=tmp_path / "uav").problems
    assert "100 lines, but the benchmark has frames 1 to 139" in str(problems["uav_uav5"])
    trees.write_trackingnet(tmp_path / "tn")
    (tmp_path / "tn/TEST/frames/0-6LB4FqxoE_1/7.jpg").unlink()
    assert "the first is 7.jpg" in str(get_dataset("trackingnet", root=tmp_path / "tn").problems["0-6LB4FqxoE_1"])


@pytest.mark.parametrize("name", ["../outside", "/etc", "..", "a\\b", "a/b"])
def test_a_list_that_leads_out_of_the_data_set(tmp_path, name):
    trees.write_got10k(tmp_path)
    with open(tmp_path / "val/list.txt", "a") as file:
        file.write(f"{name}\n")
    with pytest.raises(DatasetError, match="which is a path and no name"):
        get_dataset("got10k_val", root=tmp_path)


def test_a_target_that_is_absent_in_the_first_frame(tmp_path):
    trees.write_dtb70(tmp_path)
    (tmp_path / "Animal1" / "groundtruth_rect.txt").write_text(trees.rows_text(trees.boxes(6, absent=[0])))
    dataset = get_dataset("dtb70", root=tmp_path)
    assert [sequence.name for sequence in dataset] == ["dtb70_Yacht4"]
    assert "line 1: the first box must be finite" in str(dataset.problems["dtb70_Animal1"])


def test_names_and_other_names():
    assert all(target in BENCHMARKS and alias not in BENCHMARKS for alias, target in ALIASES.items())
    assert (benchmark_name("UAV123"), benchmark_name("LaSOT"), benchmark_name("mine")) == ("uav", "lasot", None)
    for wrong, meant in {
        "got10k": "got10k_val or got10k_test",
        "vot2018": "vot",
        "trackingnett": "trackingnet",
    }.items():
        with pytest.raises(DatasetError, match=rf"no data set '{wrong}' \(did you mean {meant}\?\)"):
            get_dataset(wrong)
    for name in BENCHMARKS:
        if name not in ("generated", "tpl_nootb"):
            with pytest.raises(UserError, match="EBM_[A-Z0-9_]+"):
                get_dataset(name)


@pytest.mark.parametrize(
    "names",
    [
        ["10.jpg", "9.jpg", "0100.jpg", "1.PNG"],
        ["20240101.jpg", "20240102.jpg", "20240131.jpg"],
        ["5.jpg"],
        ["1.jpg", "2.jpg", ".3.jpg", "notes.txt", "4"],
        ["1.jpg", "frame2.jpg"],
        ["1.jpg", "1.png", "2.png"],
    ],
)
def test_numbered_images_are_found_fast_as_they_are_found_slowly(tmp_path, names):
    for name in names:
        (tmp_path / name).touch()
    try:
        expected = order_frames(find_images(tmp_path))
    except FrameOrderError:
        with pytest.raises(DatasetError):
            read_images(tmp_path, "mine")
    else:
        assert list(read_images(tmp_path, "mine").items()) == list(expected.items())


@pytest.mark.parametrize(
    "text", ["1,2,3,4\n5,6,7,8", "1\t2\t3\t4\n\n5 6 7 8", "1,2,3,4\nNaN,NaN,NaN,NaN\n", "1,2,3,4\n,,,\n"]
)
def test_regular_box_files_are_read_at_once_and_others_by_line(tmp_path, text):
    (tmp_path / "boxes.txt").write_text(text)
    boxes = read_boxes(tmp_path / "boxes.txt")
    assert boxes[0].tolist() == [1, 2, 3, 4] and len(boxes) == len(text.rstrip().splitlines())
    for bad in ("1,2,3,4\n1,2,3", "1,2,3,4,5", "1,2,3,4#5"):
        (tmp_path / "boxes.txt").write_text(bad)
        with pytest.raises(DatasetError, match=f"line {len(bad.splitlines())}: expected four numbers"):
            read_boxes(tmp_path / "boxes.txt")


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if name != "generated"])
def test_an_empty_folder_says_what_was_expected(tmp_path, name):
    with pytest.raises(DatasetError, match="no sequences of .* were found under .*; expected "):
        get_dataset(name, root=tmp_path)


@pytest.mark.parametrize(
    ("write", "layout", "origin"),
    [
        (lambda root: write_sequence(root, "mine", 4), "OTB's layout, pixels from 1", 1),
        (lambda root: trees.write_lasot(root), "LaSOT's layout, pixels from 1", 1),
        (lambda root: trees.write_got10k(root.parent, root.name), "GOT-10k's layout, pixels from 0", 0),
        (lambda root: trees.write_vot(root), "the layout of a VOT workspace (sequences/), pixels from 0", 0),
        (
            lambda root: trees.write_trackingnet(root.parent, root.name),
            "the layout of TrackingNet (frames/, anno/), pixels from 0",
            0,
        ),
        (
            lambda root: trees.write_tpl(root, {"Bee_ce": (1, 4)}),
            "the layout of TColor-128 (NAME/NAME_gt.txt), pixels from 1",
            1,
        ),
        (
            lambda root: trees.write_uav(root, {"uav6": (1, 37)}, "UAV123_10fps"),
            "the layout of UAV123_10fps (data_seq/UAV123_10fps/, anno/UAV123_10fps/), pixels from 0",
            0,
        ),
    ],
)
def test_a_folder_is_recognised_by_its_layout(tmp_path, write, layout, origin):
    write(tmp_path / "mine")
    dataset = get_dataset(str(tmp_path / "mine"))
    assert f"({layout})" in dataset.summary()
    assert {sequence.origin for sequence in dataset} == {origin}
    other = get_dataset(str(tmp_path / "mine"), origin=1 - origin)
    assert {sequence.origin for sequence in other} == {1 - origin}
    assert f"pixels from {1 - origin} as given" in other.summary()


def test_folders_of_vot_and_lasot_sequences_have_their_regions_and_visibility(tmp_path):
    trees.write_vot(tmp_path)
    (tmp_path / "sequences").rename(tmp_path / "vot")
    dataset = get_dataset(str(tmp_path / "vot"))
    assert "VOT's layout, pixels from 0" in dataset.summary()
    np.testing.assert_array_equal(dataset["ants1"].ground_truth[1], [6, 6, 16, 12])
    lasot = get_dataset(str(trees.write_lasot(tmp_path / "lasot")))["bus-2"]
    assert (len(lasot), lasot.origin, lasot.scoring, lasot.visible.sum()) == (6, 1, "lasot", 4)
    extension = get_dataset(trees.write_lasot(tmp_path / "extension", ["atv-1"]))
    assert "LaSOT extension's layout, pixels from 0" in extension.summary()
    atv = extension["atv-1"]
    assert (len(atv), atv.origin, atv.scoring, atv.visible.sum()) == (6, 0, "lasot_extension_subset", 4)


def test_an_origin_belongs_to_folders(tmp_path):
    write_sequence(tmp_path / "mine", "one", 3)
    trees.write_dtb70(tmp_path / "dtb")
    with pytest.raises(DatasetError, match="--origin goes with a folder of your own; that of dtb70 is known"):
        get_dataset("dtb70", root=tmp_path / "dtb", origin=0)
    with pytest.raises(DatasetError, match="--origin goes with folders"):
        get_dataset("dtb70", "uav", origin=0)


def test_the_layouts_looked_for_are_named(tmp_path):
    (tmp_path / "mine" / "sub").mkdir(parents=True)
    with pytest.raises(DatasetError) as error:
        get_dataset(str(tmp_path / "mine"))
    for layout in ("OTB", "LaSOT", "GOT-10k", "VOT", "TrackingNet", "UAV123", "NFS", "TColor-128"):
        assert layout in str(error.value)
