"""Others' results as their tools lay them out."""

import zipfile

import pytest

from ltr.common.errors import UserError
from pytracking.analysis.result_layouts import find_runs
from pytracking.analysis.sequence_names import name_for
from pytracking.analysis.tracker_results import external_results

SEQUENCES = ["Bolt", "Jogging-1", "Human4-2", "nfs_Gymnastics"]


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1,2,3,4\n")


def found(path):
    """By tracker and number, the files of the sequences relative to the folder."""
    return {
        (run.tracker, run.number): {name: file.relative_to(run.folder).as_posix() for name, file in run.files.items()}
        for run in find_runs(path, SEQUENCES)
    }


def test_names_of_other_tools(tmp_path):
    touch(tmp_path, "Bolt.txt", "Jogging.1.txt", "Human4.txt", "Gymnastics.txt", "times/Bolt_time.txt", "Cat.txt")
    assert found(tmp_path) == {
        ("", None): {
            "Bolt": "Bolt.txt",
            "Jogging-1": "Jogging.1.txt",
            "Human4-2": "Human4.txt",
            "nfs_Gymnastics": "Gymnastics.txt",
        }
    }
    (result,) = external_results("X", tmp_path, SEQUENCES)
    assert result.name == "X" and result.times("Jogging-1") is None
    (tmp_path / "times" / "Bolt_time.txt").write_text("0.5\n0.25\n")
    assert result.times("Bolt").tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("tool", "names"),
    [
        ("got10k", ["Bolt", "Jogging.1", "Human4", "Gymnastics"]),
        ("pysot", ["Bolt", "Jogging-1", "Human4-2", "Gymnastics"]),
        ("pytracking", ["Bolt", "Jogging_1", "Human4_2", "nfs_Gymnastics"]),
    ],
)
def test_what_tools_call_sequences_is_found_again(tmp_path, tool, names):
    assert [name_for(tool, name) for name in SEQUENCES] == names
    assert name_for(tool, "airplane-1") == "airplane-1"
    touch(tmp_path, *(f"{name}.txt" for name in names))
    assert set(find_runs(tmp_path, SEQUENCES)[0].files) == set(SEQUENCES)


def test_a_folder_of_otbs_toolkit_holds_many_trackers(tmp_path):
    touch(tmp_path, "bolt_ECO.mat", "jogging-1_ECO.mat", "bolt_CSR_DCF.mat", "Jogging-1_CSR_DCF.mat", "cat_ECO.mat")
    assert found(tmp_path) == {
        ("CSR_DCF", None): {"Bolt": "bolt_CSR_DCF.mat", "Jogging-1": "Jogging-1_CSR_DCF.mat"},
        ("ECO", None): {"Bolt": "bolt_ECO.mat", "Jogging-1": "jogging-1_ECO.mat"},
    }
    assert [each.name for each in external_results("OPE", tmp_path, SEQUENCES)] == ["OPE/CSR_DCF", "OPE/ECO"]
    assert [each.name for each in external_results(None, tmp_path, ["cat"])] == [tmp_path.name]


def test_repetitions_are_runs_and_share_a_file_of_times(tmp_path):
    touch(tmp_path, *(f"Bolt/Bolt_{i:03d}.txt" for i in (1, 2, 3)), "Jogging-1/Jogging-1_001.txt", "Bolt/other_001.txt")
    (tmp_path / "Bolt" / "Bolt_time.txt").write_text("nan,nan,nan\n0.1,0.2,0.3\n0.1,0.2,0.5\n")
    runs = external_results("G", tmp_path, SEQUENCES)
    assert [(run.name, run.run, run.parameter) for run in runs] == [(f"G_00{i}", i, "G") for i in (1, 2, 3)]
    assert [run.times("Bolt").tolist() for run in runs] == [[0.1, 0.1], [0.2, 0.2], [0.3, 0.5]]
    assert {run.files["Jogging-1"].name for run in runs} == {"Jogging-1_001.txt"}
    (alone,) = external_results("G", tmp_path, ["Jogging-1"])
    assert (alone.name, alone.run) == ("G", None)


def test_of_vots_experiments_the_one_pass_is_taken(tmp_path):
    touch(tmp_path, "baseline/Bolt/Bolt_001.txt")
    assert found(tmp_path)["", None]["Bolt"] == "Bolt/Bolt_001.txt"
    touch(tmp_path, "unsupervised/Bolt/Bolt_001.txt")
    (run,) = find_runs(tmp_path, SEQUENCES)
    assert run.folder.name == "unsupervised"


def test_the_vot_toolkits_binary_files_with_times_of_their_own(tmp_path):
    touch(tmp_path, "baseline/Bolt/Bolt_001.bin", "baseline/Bolt/Bolt_002.bin", "baseline/Bolt/Bolt_002.txt")
    (tmp_path / "baseline" / "Bolt" / "Bolt_001_time.value").write_text("0.5\n0.25\n")
    runs = external_results("V", tmp_path, SEQUENCES)
    assert [run.files["Bolt"].name for run in runs] == ["Bolt_001.bin", "Bolt_002.txt"]
    assert runs[0].times("Bolt").tolist() == [0.5, 0.25] and runs[1].times("Bolt") is None


def test_a_folder_of_trackers_and_an_archive_of_it(tmp_path):
    root = tmp_path / "raw"
    touch(root, "ECO/Bolt.txt", "atom/default_000/Bolt.txt", "atom/default_001/Bolt.txt", "ToMP_101/Bolt.txt", "x.txt")
    names = ["ECO", "ToMP_101", "atom/default_000", "atom/default_001"]
    assert [each.name for each in external_results(None, root, SEQUENCES)] == names
    runs = external_results("PT", root, SEQUENCES)
    assert [each.name for each in runs] == [f"PT/{name}" for name in names]
    assert [each.run for each in runs] == [None, None, 0, 1]
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in root.rglob("*.txt"):
            archive.write(path, path.relative_to(root))
    packed = external_results(None, tmp_path / "all.zip", SEQUENCES)
    assert [each.name for each in packed] == names and {each.folder for each in packed} == {tmp_path / "all.zip"}
    assert packed[0].record() is None
    touch(tmp_path / "one", "inner/Bolt.txt")
    assert [each.name for each in external_results("A", tmp_path / "one", SEQUENCES)] == ["A"]
    assert [each.name for each in external_results(None, tmp_path / "one", SEQUENCES)] == ["inner"]


def test_archives_that_are_none_and_that_lead_elsewhere(tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match=r"bad\.zip cannot be unpacked"):
        find_runs(tmp_path / "bad.zip", SEQUENCES)
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../Bolt.txt", "1,2,3,4\n")
    (run,) = find_runs(tmp_path / "evil.zip", SEQUENCES)
    assert run.files["Bolt"].resolve().is_relative_to(run.folder.resolve())
    with pytest.raises(UserError, match="is not a folder"):
        find_runs(tmp_path / "none.zip", SEQUENCES)


def test_files_that_could_both_be_a_sequence_are_the_runs_problem(tmp_path):
    touch(tmp_path, "Jogging.1.txt", "Jogging_1.txt")
    (result,) = external_results("X", tmp_path, SEQUENCES)
    with pytest.raises(UserError, match="could both be Jogging-1"):
        result.checked()
