"""Benchmarks as they lie on disk."""

from collections import Counter

import numpy as np
import pytest

from ltr.common.errors import UserError
from ltr.common.images import read_image
from pytracking.evaluation.datasets import (
    BENCHMARKS,
    DatasetError,
    TrackingSequence,
    get_dataset,
    read_all,
    read_boxes,
)
from pytracking.evaluation.datasets.otb_attributes import OTB_ATTRIBUTES
from pytracking.evaluation.datasets.otb_frames import OTB_LENGTHS
from pytracking.utils.video import VideoError
from pytracking.utils.video_sources import ImageFolderSource
from tests.helpers.evaluation_fakes import write_images, write_sequence


def boxes_text(count: int, start: int = 0, separator: str = ",") -> str:
    return "".join(separator.join(map(str, (start + index, 5, 10, 8))) + "\n" for index in range(count))


def test_otb_lengths_are_those_of_the_published_annotation(shared_data):
    files = {path.stem: path for path in (shared_data / "otb_annotations").glob("*.txt")}
    assert {name: len(read_boxes(path)) for name, path in files.items()} == OTB_LENGTHS
    assert len(OTB_LENGTHS) == 100
    assert sum(OTB_LENGTHS.values()) == 59_035


def test_otb_subset_on_disk(shared_data):
    dataset = get_dataset("otb", root=shared_data / "otb")
    assert dataset.summary() == f"OTB-100: 15 of 100 targets found under {shared_data / 'otb'}"
    assert not dataset.problems
    for sequence in dataset:
        assert len(sequence) == OTB_LENGTHS[sequence.name] == len(sequence.ground_truth)
        assert sequence.frames[0].is_file() and sequence.frames[-1].is_file()
        published = read_boxes(shared_data / "otb_annotations" / f"{sequence.name}.txt")
        np.testing.assert_array_equal(sequence.ground_truth, published)
    assert dataset["David"].frames[0].name == "0300.jpg"
    assert dataset["Football1"].frames[-1].name == "0074.jpg"
    # The same folder, not as OTB-100 but as any folder in its layout, gives the same.
    as_folder = get_dataset(str(shared_data / "otb"))
    assert [(s.name, len(s)) for s in as_folder] == [(s.name, len(s)) for s in dataset]


def test_coordinates_go_from_one_to_zero_and_back(tmp_path):
    write_sequence(tmp_path, "mine", 3)
    sequence = get_dataset(str(tmp_path))["mine"]
    np.testing.assert_array_equal(sequence.ground_truth[0], [5, 6, 10, 8])
    np.testing.assert_array_equal(sequence.first_box, [4, 5, 10, 8])
    np.testing.assert_array_equal(
        sequence.to_annotation(sequence.to_tracker(sequence.ground_truth)), sequence.ground_truth
    )


@pytest.mark.parametrize(
    ("name", "images", "lines", "first_number", "first_line"),
    [
        ("Deer", range(1, 72), 71, 1, 0),
        ("Football1", range(1, 82), 74, 1, 0),  # images go on after the annotation
        ("Football1", range(1, 82), 81, 1, 0),  # annotated to the end
        ("BlurCar3", range(3, 360), 357, 3, 0),  # numbered from 3
        ("Tiger1", range(1, 355), 354, 6, 5),  # annotated from before the first frame that is run
        ("Tiger1", range(6, 355), 354, 6, 5),
        ("Tiger1", range(1, 355), 349, 6, 0),
        ("Tiger1", range(1, 350), 349, 1, 0),  # cut and numbered anew
    ],
)
def test_otb_ranges_in_copies_of_all_kinds(tmp_path, name, images, lines, first_number, first_line):
    folder = tmp_path / name / "img"
    folder.mkdir(parents=True)
    for number in images:
        (folder / f"{number:04d}.jpg").touch()
    (folder.parent / "groundtruth_rect.txt").write_text(boxes_text(lines))
    sequence = get_dataset("otb", root=tmp_path)[name]
    assert len(sequence) == len(sequence.ground_truth) == OTB_LENGTHS[name]
    assert sequence.frames[0].name == f"{first_number:04d}.jpg"
    assert sequence.frames[-1].name == f"{first_number + OTB_LENGTHS[name] - 1:04d}.jpg"
    assert sequence.ground_truth[0, 0] == first_line


def test_david_is_found_by_frame_number_among_all_its_images(tmp_path):
    folder = tmp_path / "David" / "img"
    folder.mkdir(parents=True)
    for number in range(1, 771):
        (folder / f"{number:04d}.jpg").touch()
    (folder.parent / "groundtruth_rect.txt").write_text(boxes_text(471))
    for name in ("otb", str(tmp_path)):
        sequence = get_dataset(name, root=tmp_path)["David"]
        assert (sequence.frames[0].name, sequence.frames[-1].name) == ("0300.jpg", "0770.jpg")


def test_split_targets_and_empty_annotation(tmp_path):
    folder = tmp_path / "Human4"
    write_images(folder / "img", range(1, 668))
    (folder / "groundtruth_rect.1.txt").write_text("")
    (folder / "groundtruth_rect.2.txt").write_text(boxes_text(667))
    dataset = get_dataset("otb", root=tmp_path)
    assert [sequence.name for sequence in dataset] == ["Human4-2"]
    assert dataset["Human4_2"] is dataset["Human4-2"] is dataset["0"] is dataset[0]
    assert [sequence.name for sequence in get_dataset(str(tmp_path))] == ["Human4-2"]


@pytest.mark.parametrize("separator", [",", "\t", " ", " ,  ", ", "])
@pytest.mark.parametrize("digits", [4, 5, 8])
def test_delimiters_and_digits(tmp_path, separator, digits):
    write_images(tmp_path / "mine" / "img", [8, 9, 10, 11], digits=digits)
    (tmp_path / "mine" / "groundtruth_rect.txt").write_text(boxes_text(4, separator=separator) + "\n \n")
    sequence = get_dataset(str(tmp_path))["mine"]
    np.testing.assert_array_equal(sequence.ground_truth[:, 0], [0, 1, 2, 3])
    assert [path.stem for path in sequence.frames] == [f"{number:0{digits}d}" for number in (8, 9, 10, 11)]


def test_frames_are_in_order_of_their_numbers_not_letters(tmp_path):
    write_images(tmp_path / "mine" / "img", range(1, 13), digits=1)
    (tmp_path / "mine" / "groundtruth_rect.txt").write_text(boxes_text(12))
    assert [path.stem for path in get_dataset(str(tmp_path))["mine"].frames] == [str(n) for n in range(1, 13)]


def test_a_lost_image_keeps_its_place(tmp_path):
    write_sequence(tmp_path, "mine", 6)
    (tmp_path / "mine" / "img" / "0004.png").unlink()
    sequence = get_dataset(str(tmp_path))["mine"]
    assert len(sequence) == 6
    assert sequence.frames[3].name == "0004.png" and not sequence.frames[3].exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (boxes_text(5), ["groundtruth_rect.txt", "5 lines", "8 images"]),
        ("1,2,3\n", ["line 1", "1,2,3"]),
        (boxes_text(3) + "1,2,3,4,5\n", ["line 4"]),
        ("1,2,3,four\n", ["line 1", "four"]),
    ],
)
def test_bad_annotation_spares_the_other_sequences(tmp_path, content, words):
    write_sequence(tmp_path, "good", 4)
    folder = write_sequence(tmp_path, "bad", 8)
    (folder / "groundtruth_rect.txt").write_text(content)
    dataset = get_dataset(str(tmp_path))
    assert [sequence.name for sequence in dataset] == ["good"]
    assert "1 more cannot be run" in dataset.summary()
    with pytest.raises(DatasetError) as error:
        dataset["bad"]
    assert all(word in str(error.value) for word in words)


def test_wrong_length_of_a_sequence_of_otb(tmp_path):
    write_sequence(tmp_path, "Deer", 71)
    write_sequence(tmp_path, "Dog", 127, lines=100)
    dataset = get_dataset("otb", root=tmp_path)
    assert [sequence.name for sequence in dataset] == ["Deer"]
    assert "100 lines" in str(dataset.problems["Dog"]) and "127 frames" in str(dataset.problems["Dog"])


def test_names_that_there_are_not(tmp_path):
    write_sequence(tmp_path, "David2", 3)
    write_sequence(tmp_path, "Walking", 3)
    dataset = get_dataset(str(tmp_path))
    with pytest.raises(DatasetError, match="no sequence 'davd2' .* did you mean David2"):
        dataset["davd2"]
    with pytest.raises(DatasetError, match="it has David2, Walking"):
        dataset["Zzz"]
    with pytest.raises(DatasetError, match="numbered from 0"):
        dataset["2"]
    with pytest.raises(DatasetError, match=r"no data set 'otbb' \(did you mean otb\?\)"):
        get_dataset("otbb")
    with pytest.raises(DatasetError, match="does not exist"):
        get_dataset(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="does not exist .*command line"):
        get_dataset("otb", root=tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="no sequences of OTB-100 were found"):
        get_dataset("otb", root=tmp_path / "David2")
    with pytest.raises(DatasetError, match="none of the 2 sequences"):
        get_dataset("otb", root=tmp_path)


def test_a_data_set_of_which_nothing_can_be_run(tmp_path):
    write_sequence(tmp_path, "bad", 4, lines=9)
    with pytest.raises(DatasetError, match="none of the 1 sequences .* 9 lines"):
        get_dataset(str(tmp_path))


def test_several_data_sets_as_one(tmp_path):
    write_sequence(tmp_path / "b", "two", 4)
    write_sequence(tmp_path / "b", "bad", 4, lines=9)
    write_sequence(tmp_path / "a", "one", 3)
    both = get_dataset(tmp_path / "b", tmp_path / "a")
    assert (both.title, [sequence.name for sequence in both]) == ("b + a", ["two", "one"])
    assert both["one"] is both["1"] and both["one"].dataset == "a"
    assert both.summary().splitlines() == [
        f"b: 1 targets found under {tmp_path / 'b'} (OTB's layout, pixels from 1), 1 more cannot be run",
        f"a: 1 targets found under {tmp_path / 'a'} (OTB's layout, pixels from 1)",
    ]
    with pytest.raises(DatasetError, match="9 lines"):
        both["bad"]
    with pytest.raises(DatasetError, match=rf"no sequence 'tow' in b \+ a under {tmp_path}; did you mean two"):
        both["tow"]
    alone = get_dataset(tmp_path / "b")
    assert (alone.title, alone.parts, alone.root) == ("b", (), tmp_path / "b")


@pytest.mark.parametrize(("name", "lines"), [("Pair_1", 3), ("pair-1", 3), ("Pair-1", 9)])
def test_a_name_that_stands_in_two_data_sets(tmp_path, name, lines):
    # Result files go by the name, in any spelling; one that cannot be run today may be tomorrow.
    write_sequence(tmp_path / "a", "Pair-1", 3)
    write_sequence(tmp_path / "b", name, 3, lines=lines)
    write_sequence(tmp_path / "b", "other", 3)
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    with pytest.raises(DatasetError, match=f"{name} is both in a under {folders[0]} and in b under {folders[1]}; "):
        get_dataset(*folders)


def test_several_data_sets_are_each_looked_for(tmp_path):
    write_sequence(tmp_path / "a", "one", 3)
    with pytest.raises(DatasetError, match="no data set 'otbb'"):
        get_dataset(tmp_path / "a", "otbb")
    assert [sequence.name for sequence in get_dataset(*[tmp_path / "a"] * 2)] == ["one"]
    with pytest.raises(DatasetError, match="--dataset_root goes with one data set, not with 2"):
        get_dataset(tmp_path / "a", "otb", root=tmp_path)


def test_nfs_as_published(tmp_path):
    folder = tmp_path / "dog_1" / "30"
    write_images(folder / "dog_1", range(1, 6), digits=5, suffix=".jpg")
    lines = [f'0 {10 + i} 20 {40 + i} 60 {i} 0 0 0 "dog"\n' for i in range(34)]  # 240 frames per second, and a few more
    (folder / "dog_1.txt").write_text("".join(lines))
    dataset = get_dataset("nfs", root=tmp_path)
    assert dataset.summary().startswith("NFS: 1 of 100 targets")
    sequence = dataset["nfs_dog_1"]
    np.testing.assert_array_equal(sequence.ground_truth, [[10 + 8 * i, 20, 30, 40] for i in range(5)])
    np.testing.assert_array_equal(sequence.first_box, sequence.ground_truth[0])  # its pixels start at 0


def test_nfs_as_published_tolerates_one_frame_and_no_more(tmp_path):
    for name, images in (("near", 4), ("far", 3)):
        folder = tmp_path / name / "30"
        write_images(folder / name, range(1, images + 1), digits=5)
        (folder / f"{name}.txt").write_text("".join(f"0 {i} 20 40 60\n" for i in range(5)))
    dataset = get_dataset("nfs", root=tmp_path)
    assert len(dataset["nfs_near"]) == 4
    with pytest.raises(DatasetError, match="5 lines.*3 images"):
        dataset["nfs_far"]


def test_nfs_as_repacked(tmp_path):
    for name, annotation in (("dog_1", "nfs_dog_1"), ("Gymnastics", "Gymnastics")):
        write_images(tmp_path / "sequences" / name, range(1, 5), digits=5)
        (tmp_path / "anno").mkdir(exist_ok=True)
        (tmp_path / "anno" / f"{annotation}.txt").write_text(boxes_text(4, separator="\t"))
    write_images(tmp_path / "sequences" / "bare", range(1, 5), digits=5)
    dataset = get_dataset("nfs", root=tmp_path)
    assert [sequence.name for sequence in dataset] == ["nfs_Gymnastics", "nfs_dog_1"]
    np.testing.assert_array_equal(dataset["nfs_dog_1"].ground_truth[:, 0], [0, 1, 2, 3])
    assert "nfs_bare.txt does not exist" in str(dataset.problems["nfs_bare"])


def test_generated_benchmark_is_made_in_the_workspace(tmp_path, monkeypatch):
    import ltr.dataset.generated as generated

    monkeypatch.setenv("EBM_WORKSPACE", str(tmp_path))
    monkeypatch.setattr(generated, "write_benchmark", lambda folder, seed: write_sequence(folder, "turn", 3))
    dataset = get_dataset("generated")
    assert dataset.root == tmp_path / "generated_benchmark"
    assert [(sequence.name, len(sequence), sequence.origin) for sequence in dataset] == [("turn", 3, 1.0)]


def test_attributes_of_otb_are_counted_as_in_the_literature(shared_data):
    assert set(OTB_ATTRIBUTES) == set(OTB_LENGTHS)
    carried = Counter(attribute for text in OTB_ATTRIBUTES.values() for attribute in text.split())
    assert carried == {
        "IV": 38, "SV": 64, "OCC": 49, "DEF": 44, "MB": 29, "FM": 39, "IPR": 51, "OPR": 63, "OV": 14, "BC": 31, "LR": 9
    }  # fmt: skip
    # A target of low resolution has, by definition, fewer than 400 pixels in some frame.
    for name, text in OTB_ATTRIBUTES.items():
        if "LR" in text.split():
            assert read_boxes(shared_data / "otb_annotations" / f"{name}.txt")[:, 2:].prod(1).min() < 400
    dataset = get_dataset("otb", root=shared_data / "otb")
    assert dataset["Deer"].attributes == ("MB", "FM", "IPR", "BC")
    assert dataset["Jogging_2"].attributes == ("OCC", "DEF", "OPR")


def test_attributes_are_those_of_the_sequence_and_not_of_its_name(tmp_path):
    write_sequence(tmp_path, "Man", 3)  # OTB's has 134 frames
    write_sequence(tmp_path, "mine", 3)
    (tmp_path / "mine" / "attributes.txt").write_text("rain, OCC\nnight rain\n")
    dataset = get_dataset(str(tmp_path))
    assert dataset["Man"].attributes == ()
    assert dataset["mine"].attributes == ("rain", "OCC", "night")
    (tmp_path / "mine" / "attributes.txt").unlink()
    (tmp_path / "mine" / "attributes.txt").mkdir()
    assert "attributes.txt cannot be read" in str(get_dataset(str(tmp_path)).problems["mine"])


def test_a_benchmark_is_a_reader_and_a_line_in_the_registry(tmp_path, monkeypatch):
    def broken():
        raise DatasetError("two has no annotation")

    def read_mine(root):
        readers = {"one": lambda: TrackingSequence("one", [tmp_path / "1.png"], np.ones((1, 4)), "mine"), "two": broken}
        return read_all("Mine", tmp_path if root is None else root, readers, expected=3)

    monkeypatch.setitem(BENCHMARKS, "mine", read_mine)
    dataset = get_dataset("mine")
    assert dataset.summary() == f"Mine: 1 of 3 targets found under {tmp_path}, 1 more cannot be run"
    with pytest.raises(DatasetError, match="two has no annotation"):
        dataset["two"]
    with pytest.raises(DatasetError, match=r"no data set 'mnie' \(did you mean mine\?\): known are otb, .*, mine, or"):
        get_dataset("mnie")


@pytest.mark.parametrize(
    "name",
    ["frame_{:04d}_jpg.rf.{hash}", "frame{}_cam2", "{}_640x480", "img{}_t{time}.0"],
)
def test_images_follow_the_number_of_the_frame(tmp_path, name):
    folder = tmp_path / "mine" / "img"
    write_images(folder, range(1, 13))
    for index, path in enumerate(sorted(folder.iterdir()), start=1):
        path.rename(folder / f"{name.format(index, hash=f'{9 - index % 9}c4e01ab77d3580c', time=40 * index)}.png")
    (tmp_path / "mine" / "groundtruth_rect.txt").write_text(boxes_text(12))
    frames = get_dataset(str(tmp_path))["mine"].frames
    assert [int(read_image(path)[0, 0, 0]) for path in frames] == list(range(1, 13))
    assert frames == ImageFolderSource(folder).files


def test_images_with_two_orders_are_refused(tmp_path):
    write_sequence(tmp_path, "mine", 4)
    for index, path in enumerate(sorted((tmp_path / "mine" / "img").iterdir())):
        path.rename(path.with_name(f"cam{index // 2}_{index % 2}.png"))
    with pytest.raises(DatasetError, match=r"sequence mine: in .*img, two orders are possible: .*rename"):
        get_dataset(str(tmp_path))
    with pytest.raises(VideoError, match=r"in the folder .*img, two orders are possible: .*rename"):
        ImageFolderSource(tmp_path / "mine" / "img")


def test_a_lost_image_is_named_by_the_number_that_counts(tmp_path):
    folder = tmp_path / "mine" / "img"
    folder.mkdir(parents=True)
    for number in (7, 8, 10):
        (folder / f"{number:02d}_cam2.png").touch()
    (tmp_path / "mine" / "groundtruth_rect.txt").write_text(boxes_text(4))
    assert get_dataset(str(tmp_path))["mine"].frames[2].name == "09_cam2.png"


def test_what_macos_adds_is_left_alone(tmp_path):
    write_sequence(tmp_path, "mine", 4)
    twin = b"\x00\x05\x16\x07" + bytes(100)
    for name in ("mine/img/._0001.png", "mine/._groundtruth_rect.txt", "mine/.DS_Store", "._mine"):
        (tmp_path / name).write_bytes(twin)
    write_sequence(tmp_path / "__MACOSX", "mine", 1)
    write_sequence(tmp_path, ".hidden", 1)
    write_sequence(tmp_path, "__MACOSX", 1)
    dataset = get_dataset(str(tmp_path))
    assert [sequence.name for sequence in dataset] == ["mine"] and len(dataset[0]) == 4 and not dataset.problems


def test_accents_are_one_letter_or_two(tmp_path):
    write_sequence(tmp_path, "Zu\u0308rich", 2)
    assert get_dataset(str(tmp_path))["Z\u00fcrich"].name == "Zu\u0308rich"


@pytest.mark.parametrize("nothing", ["", " ", "nan,nan,nan,nan", "0,0,0,0"])
def test_a_row_that_stands_for_nothing_keeps_its_place(tmp_path, nothing):
    folder = write_sequence(tmp_path, "mine", 5)
    lines = boxes_text(5).splitlines()
    (folder / "groundtruth_rect.txt").write_text("\n".join([*lines[:2], nothing, *lines[3:]]) + "\n\n\n")
    sequence = get_dataset(str(tmp_path))["mine"]
    assert sequence.ground_truth[3:, 0].tolist() == [3, 4] and not sequence.ground_truth[2, 2] > 0


def test_empty_rows_that_do_not_fit_the_images_are_refused(tmp_path):
    folder = write_sequence(tmp_path, "mine", 5)
    (folder / "groundtruth_rect.txt").write_text(boxes_text(5).replace("\n", "\n\n"))
    with pytest.raises(DatasetError, match="has 9 lines, but .* has 5 images"):
        get_dataset(str(tmp_path))


@pytest.mark.parametrize("first", ["nan,nan,nan,nan", "0,0,0,0", "5,5,-3,8"])
def test_a_first_row_without_a_target_is_refused_before_anything_is_run(tmp_path, first):
    folder = write_sequence(tmp_path, "mine", 3)
    (folder / "groundtruth_rect.txt").write_text(first + "\n" + boxes_text(2))
    with pytest.raises(
        DatasetError, match=r"groundtruth_rect\.txt, line 1: the first box must be finite, with a positive"
    ):
        get_dataset(str(tmp_path))


@pytest.mark.parametrize("images", ["color", "IMG", "frames", "."])
@pytest.mark.parametrize("annotation", ["groundtruth.txt", "Groundtruth_rect.TXT"])
def test_layouts_of_other_benchmarks(tmp_path, images, annotation):
    write_images(tmp_path / "mine" / images, range(1, 5), digits=8, suffix=".webp")
    (tmp_path / "mine" / annotation).write_text(boxes_text(4))
    (sequence,) = get_dataset(str(tmp_path))
    assert [path.name for path in sequence.frames] == [f"{number:08d}.webp" for number in range(1, 5)]
    assert sequence.origin == (0 if annotation == "groundtruth.txt" else 1)
    (alone,) = get_dataset(str(tmp_path / "mine"))  # the folder of one sequence
    assert (alone.name, alone.frames) == ("mine", sequence.frames)


def test_lasots_folders_of_categories(tmp_path):
    for name in ("bear/bear-1", "bear/bear-2", "cat/cat-1"):
        write_images(tmp_path / name / "img", range(1, 4), digits=8)
        (tmp_path / name / "groundtruth.txt").write_text(boxes_text(3))
        (tmp_path / name / "full_occlusion.txt").write_text("0,0,0")
    assert [sequence.name for sequence in get_dataset(str(tmp_path))] == ["bear-1", "bear-2", "cat-1"]


def test_the_first_box_alone(tmp_path):
    write_sequence(tmp_path, "mine", 4, lines=1)
    sequence = get_dataset(str(tmp_path))["mine"]
    assert len(sequence) == 4 and sequence.ground_truth[0, 0] == 5 and np.isnan(sequence.ground_truth[1:]).all()


def test_what_is_expected_is_said(tmp_path):
    write_images(tmp_path / "bare" / "img", range(1, 4))
    with pytest.raises(DatasetError, match=r"no annotation file in .*bare: a sequence is a folder with images in img/"):
        get_dataset(str(tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"no sequences of empty .*; a sequence is a folder with images in img/"):
        get_dataset(str(tmp_path / "empty"))


def test_images_in_a_folder_of_another_name_say_which_are_looked_for(tmp_path):
    (tmp_path / "walk" / "JPEGImages").mkdir(parents=True)
    (tmp_path / "walk" / "groundtruth_rect.txt").write_text("1,2,10,8\n")
    with pytest.raises(DatasetError, match="has no images in .*walk, nor in .* img/, color/, imgs/, images/, frames/"):
        get_dataset(str(tmp_path))
