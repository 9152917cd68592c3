"""Densities on disk: as ebm-track --density writes them, by the real tracker on a generated sequence."""

import json

import numpy as np
import pytest

from ltr.common.errors import UserError
from ltr.common.images import write_image
from ltr.dataset.generated import benchmark_scene
from pytracking.evaluation.datasets import get_dataset, read_folder
from pytracking.evaluation.density_log import DensityLog
from pytracking.evaluation.running import TrackerSpec, run_dataset
from pytracking.tracker.base import TrackerOutput
from pytracking.view.base import Target
from tests.helpers.evaluation_fakes import FakeSpec, write_sequence


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """The first frames of a generated sequence, as the benchmark writes them."""
    folder = tmp_path_factory.mktemp("generated") / "rotation"
    (folder / "img").mkdir(parents=True)
    scene = benchmark_scene("rotation")
    for frame in range(5):
        write_image(folder / "img" / f"{frame + 1:04}.jpg", scene.render(frame))
    np.savetxt(folder / "groundtruth_rect.txt", scene.boxes()[:5] + [1, 1, 0, 0], "%.4f", delimiter="\t")
    return read_folder(folder.parent, "generated")


def read(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.slow
def test_a_run_with_densities(generated, tmp_path):
    spec = TrackerSpec("atom", "ebm", "cpu", overrides=("--density.num_samples", "400", "--density.num_cells", "4"))
    folder = run_dataset(generated, spec, tmp_path, density=True).folder
    lines = read(folder / "rotation_density.jsonl")
    assert [line["frame"] for line in lines] == [0, 1, 2, 3, 4]
    assert "mean" not in lines[0]
    boxes = np.loadtxt(folder / "rotation.txt")
    for line in lines[1:]:
        # The log counts pixels from 0, as the tracker does; results from 1, as this data set is annotated.
        np.testing.assert_allclose(np.array(line["box"]) + [1, 1, 0, 0], boxes[line["frame"]], atol=1e-3)
        truth = generated[0].ground_truth[line["frame"]]
        np.testing.assert_allclose(np.array(line["truth"]["box"]) + [1, 1, 0, 0], truth, atol=1e-3)
        narrow, wide = (np.array(line["intervals"][level]) for level in ("0.5", "0.95"))
        assert (wide[:, 0] < narrow[:, 0]).all() and (narrow[:, 1] < wide[:, 1]).all()
        x, y, w, h = line["mean"]
        sides = np.array([x, y, x + w, y + h])
        assert (wide[:, 0] < sides).all() and (sides < wide[:, 1]).all()
        covariance = np.array(line["covariance"])
        assert (np.linalg.eigvalsh(covariance) > 0).all()
        assert 0 <= line["truth"]["level"] <= 1 and len(line["truth"]["cdf"]) == 4
        assert 1 <= line["effective_sample_size"] <= 400
    # Found finished; without its densities it is run again.
    assert run_dataset(generated, spec, tmp_path, density=True).skipped == ["rotation"]
    (folder / "rotation_density.jsonl").unlink()
    assert run_dataset(generated, spec, tmp_path).skipped == ["rotation"]
    assert list(run_dataset(generated, spec, tmp_path, density=True).finished) == ["rotation"]
    np.testing.assert_array_equal(np.loadtxt(folder / "rotation.txt"), boxes)


@pytest.mark.slow
def test_on_workers_too(generated, tmp_path):
    spec = TrackerSpec("atom", "ebm", "cpu", overrides=("--density.num_samples", "64", "--density.num_cells", "4"))
    folder = run_dataset(generated, spec, tmp_path, density=True, threads=2).folder
    assert len(read(folder / "rotation_density.jsonl")) == 5


def test_a_tracker_without_a_density_writes_its_boxes(tmp_path):
    write_sequence(tmp_path / "data", "one", 3)
    folder = run_dataset(get_dataset(str(tmp_path / "data")), FakeSpec(), tmp_path, density=True).folder
    assert [sorted(line) for line in read(folder / "one_density.jsonl")] == [["box", "flag", "frame", "score"]] * 3


def target():
    return Target("target", TrackerOutput(np.array([1.0, 2, 3, 4]), 0.5), np.array([1.0, 2, 3, 4]))


def test_what_was_written_before_a_failure_is_kept(tmp_path):
    with pytest.raises(KeyError), DensityLog(tmp_path / "a_density.jsonl") as log:
        log.add(0, target())
        raise KeyError
    assert len(read(tmp_path / "a_density.partial.jsonl")) == 1
    assert not (tmp_path / "a_density.jsonl").exists()


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(UserError, match="taken.*cannot be written"), DensityLog(tmp_path / "taken" / "a.jsonl") as log:
        log.add(0, target())


def test_densities_of_an_earlier_run_do_not_stay_beside_other_boxes(tmp_path):
    write_sequence(tmp_path / "data", "one", 3)
    data = get_dataset(str(tmp_path / "data"))
    folder = run_dataset(data, FakeSpec(), tmp_path / "out").folder
    (folder / "one_density.jsonl").write_text("{}\n")
    run_dataset(data, FakeSpec(), tmp_path / "out", overwrite=True)
    assert (folder / "one.txt").exists() and not (folder / "one_density.jsonl").exists()
