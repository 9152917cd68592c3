"""What the servers take, read back by the benchmarks' own tools."""

import zipfile

import numpy as np
import pytest

from pytracking.commands.analyse import main
from pytracking.evaluation.datasets import got10k, lasot, trackingnet
from tests.helpers import benchmark_trees as trees
from tests.helpers.result_trees import write_results

NAMES = {
    "got10k": ["GOT-10k_Test_000001", "GOT-10k_Test_000002"],
    "trackingnet": ["0-6LB4FqxoE_0", "0-6LB4FqxoE_1"],
    "lasot": ["airplane-1", "bus-2"],
}
FRAMES = 6


@pytest.fixture
def benchmarks(tmp_path, monkeypatch):
    """Sets of two sequences, which here are all of each benchmark; the folder with results is the current one."""
    trees.write_got10k(tmp_path / "got10k", "test", FRAMES)
    trees.write_trackingnet(tmp_path / "trackingnet", count=FRAMES)
    trees.write_lasot(tmp_path / "lasot", NAMES["lasot"], FRAMES)
    moved = np.arange(FRAMES)[:, None] * [
        0.25,
        0,
        0.125,
        0,
    ]  # from the annotated box on
    truths = {kind: {name: trees.boxes(FRAMES) + moved for name in names} for kind, names in NAMES.items()}
    monkeypatch.setattr(got10k, "GOT10K_SIZE", 2)
    monkeypatch.setattr(trackingnet, "TRACKINGNET_SIZE", 2)
    monkeypatch.setattr(lasot, "LASOT_TESTING", NAMES["lasot"])
    for kind in NAMES:
        monkeypatch.setenv(f"EBM_{kind.upper()}", str(tmp_path / kind))
    monkeypatch.setenv("EBM_RESULTS", str(tmp_path / "results"))
    for boxes in truths.values():
        write_results(tmp_path / "results" / "atom" / "ebm", boxes)
    monkeypatch.chdir(tmp_path)
    return truths


def packed(path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def fails(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.splitlines()[-1]


@pytest.mark.parametrize(
    ("kind", "member"),
    [
        ("got10k", "GOT-10k_Test_000001/GOT-10k_Test_000001_001.txt"),
        ("trackingnet", "0-6LB4FqxoE_0.txt"),
        ("lasot", "atom_ebm_tracking_result/airplane-1.txt"),
    ],
)
def test_what_each_server_takes(benchmarks, capsys, kind, member):
    main(["pack", kind])
    assert f"results/submissions/{kind}/atom_ebm.zip (2 sequences); " in capsys.readouterr().out.replace("\\", "/")
    files = packed(f"results/submissions/{kind}/atom_ebm.zip")
    assert len(files) == (4 if kind == "got10k" else 2)
    rows = [line.split(",") for line in files[member].splitlines()]
    np.testing.assert_allclose(np.array(rows, float), benchmarks[kind][NAMES[kind][0]], atol=1e-4)
    before = open(f"results/submissions/{kind}/atom_ebm.zip", "rb").read()
    main(["pack", kind])
    assert open(f"results/submissions/{kind}/atom_ebm.zip", "rb").read() == before


def test_runs_are_repetitions_of_got10k_and_files_of_their_own_elsewhere(benchmarks, tmp_path, capsys):
    for run in range(3):
        for boxes in benchmarks.values():
            write_results(tmp_path / "results" / "atom" / f"star_{run:03d}", boxes, seconds=0.1 + run)
    main(["pack", "got10k", "--trackers", "atom/star", "--out", "out"])
    files = packed("out/atom_star_000-002.zip")
    name = "GOT-10k_Test_000002"
    assert [file for file in files if file.startswith(name)] == [
        f"{name}/{name}_{end}" for end in ("001.txt", "002.txt", "003.txt", "time.txt")
    ]
    assert files[f"{name}/{name}_time.txt"].splitlines()[0] == "0.100000,1.100000,2.100000"
    main(["pack", "trackingnet", "--trackers", "atom/star_001", "atom/star_002", "--out", "out"])
    assert set(packed("out/atom_star_001.zip")) == {f"{name}.txt" for name in NAMES["trackingnet"]}
    assert "2 sequences, 3 runs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda path: path.unlink(), "atom/ebm has no result of 1 of 2 sequences (GOT-10k_Test_000002)"),
        (lambda path: path.write_text("5 6 16 12\n"), "000002.txt has 1 boxes for 6 frames"),
        (lambda path: path.write_text(path.read_text() + "1 2 3 4\n"), "000002.txt has 7 boxes for 6 frames"),
        (lambda path: path.write_text("nan nan nan nan\n" * 6), "000002.txt, line 1: NaN or -1"),
        (lambda path: path.write_text("60 50 nan 30\n" * 6), "000002.txt, line 1: NaN beside numbers"),
        (lambda path: path.write_text("1 1 9 9\n" * 6), "000002.txt starts from another box"),
        (lambda path: path.with_name(f"{path.stem}_time.txt").unlink(), "has no times of GOT-10k_Test_000002"),
        (lambda path: path.with_name(f"{path.stem}_time.txt").write_text("0.1\n"), "has 1 times of"),
    ],
)
def test_what_is_not_complete_is_refused_by_name(benchmarks, tmp_path, capsys, change, says):
    write_results(tmp_path / "results" / "opencv" / "csrt", benchmarks["got10k"])
    change(tmp_path / "results" / "atom" / "ebm" / "GOT-10k_Test_000002.txt")
    assert says in fails(capsys, "pack", "got10k")
    assert not (tmp_path / "results/submissions/got10k/atom_ebm.zip").exists()
    assert (tmp_path / "results/submissions/got10k/opencv_csrt.zip").exists()  # the other one is complete


def test_pixels_counted_from_elsewhere_are_refused(benchmarks, tmp_path, capsys):
    for name, boxes in benchmarks["lasot"].items():
        write_results(tmp_path / "results" / "atom" / "ebm", {name: boxes - [1, 1, 0, 0]})
    assert "airplane-1.txt: its first box is the annotated one in the form pixels from 0; add 1 to x and y" in fails(
        capsys, "pack", "lasot"
    )


def test_a_half_copied_set_is_refused(benchmarks, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(got10k, "GOT10K_SIZE", 180)
    assert "has 2 of the 180 sequences of GOT-10k test, and a file" in fails(capsys, "pack", "got10k")
    monkeypatch.setattr(got10k, "GOT10K_SIZE", 2)
    (tmp_path / "got10k" / "test" / "GOT-10k_Test_000002" / "groundtruth.txt").unlink()
    assert "GOT-10k_Test_000002 of GOT-10k test cannot be packed" in fails(capsys, "pack", "got10k")
    assert "no result on TrackingNet" in fails(capsys, "pack", "trackingnet", "--trackers")
    with pytest.raises(SystemExit):
        main(["pack", "otb"])
    assert "invalid choice: 'otb'" in capsys.readouterr().err


def test_the_got10k_toolkits_own_report_reads_the_file_of_its_validation_set(tmp_path, monkeypatch):
    experiments = pytest.importorskip("got10k.experiments")
    trees.write_got10k(tmp_path / "data", "val", FRAMES, names=3)
    names, truth = [f"GOT-10k_Val_00000{i}" for i in (1, 2, 3)], trees.boxes(FRAMES)
    monkeypatch.setattr(got10k, "GOT10K_SIZE", 3)
    # Moved to the right by one and three pixels of the target's 16 in all frames but the first.
    for run, right in enumerate((1, 3)):
        boxes = truth + (np.arange(FRAMES) > 0)[:, None] * [right, 0, 0, 0]
        write_results(tmp_path / "own" / "atom" / f"ebm_{run:03d}", dict.fromkeys(names, boxes), seconds=0.2)
    common = ["--dataset_name", "got10k_val", "--dataset_root", f"{tmp_path}/data", "--results", f"{tmp_path}/own"]
    main(["pack", "got10k", *common, "--out", str(tmp_path / "zip")])
    with zipfile.ZipFile(tmp_path / "zip" / "atom_ebm_000-001.zip") as archive:
        archive.extractall(tmp_path / "results" / "GOT-10k" / "packed")
    main(["export", "--format", "got10k", *common, "--out", str(tmp_path / "results" / "GOT-10k")])
    places = [str(tmp_path / name) for name in ("data", "results", "reports")]
    experiment = experiments.ExperimentGOT10k(places[0], "val", *places[1:])
    monkeypatch.setattr(experiment, "plot_curves", lambda *arguments: None)
    report = experiment.report(["packed", "atom_ebm"])
    for tracker in ("packed", "atom_ebm"):
        overall = report[tracker]["overall"]
        assert overall["ao"] == pytest.approx((15 / 17 + 13 / 19) / 2)  # boxes of 16 pixels that share 15, and 13
        assert overall["speed_fps"] == pytest.approx(5)
        assert report[tracker]["seq_wise"][names[0]]["sr"] == 1
