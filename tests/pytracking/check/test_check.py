"""The check of a machine: it passes on a sound one, and fails where a kernel is wrong, crashes or hangs."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ltr.dataset.generated import benchmark_scene
from ltr.ops import kernels
from pytracking.check import __main__ as command
from pytracking.check import jobs, machine, networks, operators, refusals, tracking, training
from pytracking.check.results import Result, within
from tests.helpers.warm_python import warm_python

REPO = Path(__file__).resolve().parents[3]


def with_kernels(test):
    return pytest.mark.kernels(pytest.mark.skipif(not kernels.FOUND["cpu"].loaded, reason="no CPU kernels")(test))


def states(results) -> dict[str, str]:
    return {result.what: result.state for result in results}


# -- operators -----------------------------------------------------------------------------------------------------


class Operators:
    """The operators, of which one gives something else."""

    def __init__(self, change, when=lambda dtype: True):
        self.change, self.when = change, when

    def prroi_pool(self, features, boxes, *rest):
        pooled = self.genuine(features, boxes, *rest)
        return self.change(pooled) if self.when(features.dtype) else pooled


@pytest.fixture
def wrong_operator(monkeypatch):
    def install(change, when=lambda dtype: True):
        stand_in = Operators(change, when)
        stand_in.genuine = torch.ops.ebm_regression.prroi_pool
        monkeypatch.setattr(torch.ops, "ebm_regression", stand_in)

    return install


SMALL = [operators.Case(2, 6, 7, 9, 4, 2, 3, mixed=True)]


@with_kernels
def test_sound_ones_pass_in_every_precision():
    found = states(operators.compare("cpu", SMALL))
    assert len(found) == 13 and set(found.values()) == {"PASS"}


@with_kernels
def test_a_wrong_value_in_one_precision_fails_there_alone(wrong_operator):
    wrong_operator(lambda pooled: pooled * (1 + 3e-4), when=lambda dtype: dtype == torch.float32)
    found = states(operators.compare("cpu", SMALL))
    assert {what for what, state in found.items() if state == "FAIL"} == {
        "PrRoIPool's value, cpu, float32",
        "PrRoIPool's gradient in features, cpu, float32",
        "PrRoIPool's gradient in boxes, cpu, float32",
    }


@with_kernels
def test_a_wrong_gradient_fails(wrong_operator):
    wrong_operator(lambda pooled: pooled.detach() + 2 * (pooled - pooled.detach()))
    found = states(operators.compare("cpu", SMALL))
    assert found["PrRoIPool's value, cpu, float64"] == "PASS"
    assert found["PrRoIPool's gradient in boxes, cpu, float64"] == "FAIL"


@with_kernels
def test_what_is_not_a_number_fails(wrong_operator):
    wrong_operator(lambda pooled: pooled + float("nan"))
    found = states(operators.compare("cpu", SMALL))
    assert all(state == "FAIL" for what, state in found.items() if "value" in what)


@with_kernels
def test_other_bits_in_another_call_fail(wrong_operator):
    wrong_operator(lambda pooled: pooled + 1e-12 * torch.randn_like(pooled))
    assert states(operators.compare("cpu", SMALL))["PrRoIPool, cpu"] == "FAIL"


def test_without_kernels_there_is_nothing_to_compare(monkeypatch):
    monkeypatch.setattr(kernels, "FOUND", {"cpu": kernels.Kernel(False, "not built")})
    (result,) = operators.compare("cpu", SMALL)
    assert result.state == "SKIP" and "not built" in result.detail


# -- networks ------------------------------------------------------------------------------------------------------


def test_networks_agree_and_a_wrong_layer_is_found(monkeypatch):
    found = {result["what"]: result["state"] for result in networks.run("cpu")}
    assert len(found) == 5 and set(found.values()) == {"PASS"}
    genuine = networks.Samples.adjoint
    monkeypatch.setattr(
        networks.Samples, "adjoint", lambda self, r: genuine(self, r) * (1 + 1e-3 * (r.dtype == torch.float32))
    )
    found = {result["what"]: result["state"] for result in networks.run("cpu")}
    assert found["the classifier's products, cpu"] == "FAIL" and list(found.values()).count("FAIL") == 1


def test_a_level_that_is_not_a_number_is_found(monkeypatch):
    genuine = networks.TrackerNetwork.features

    def features(*arguments):
        levels = genuine(*arguments)
        return levels | {"stride16": levels["stride16"] * float("nan")}

    monkeypatch.setattr(networks.TrackerNetwork, "features", features)
    found = {result["what"]: result["state"] for result in networks.run("cpu")}
    assert found["backbone, cpu"] == "FAIL" and list(found.values()).count("FAIL") == 1


# -- processes -----------------------------------------------------------------------------------------------------


def values_of(program: str, seconds: float = 60.0) -> tuple[list, str]:
    """What a program printed, and how it failed."""
    found: list = []
    try:
        for value in jobs.read_values([sys.executable, "-c", program], seconds):
            found.append(value)
    except jobs.JobError as error:
        return found, str(error)
    return found, ""


def test_what_a_process_said_before_it_crashed_is_kept():
    found, failure = values_of("import os\nprint(1, flush=True)\nos.kill(os.getpid(), 11)\nprint(2)")
    assert found == [1] and failure == "ended by SIGSEGV"


def test_an_exception_is_told_by_its_last_line():
    found, failure = values_of("print([1])\nraise ValueError('no such GPU')")
    assert found == [[1]] and failure == "ended with code 1; ValueError: no such GPU"


def test_a_process_that_hangs_is_ended():
    found, failure = values_of("import time\nprint(1, flush=True)\ntime.sleep(60)", seconds=0.5)
    assert found == [1] and "had not finished" in failure


# -- refusals ------------------------------------------------------------------------------------------------------


@with_kernels
def test_a_call_that_is_not_refused_or_ends_the_interpreter_fails(monkeypatch):
    monkeypatch.setattr(refusals, "CALLS", {
        "too many dimensions": ("prroi_pool", refusals.POOL | dict(features="zeros(1, 2, 3, 4, 4)")),
        "nothing wrong": ("prroi_pool", refusals.POOL),
        "a crash": ("prroi_pool", refusals.POOL | dict(rows="__import__('os').kill(__import__('os').getpid(), 11)")),
    })  # fmt: skip
    found = {result.what.partition(": ")[2]: result for result in refusals.run(["cpu"], quick=False)}
    assert {what: result.state for what, result in found.items()} == {
        "too many dimensions": "PASS",
        "nothing wrong": "FAIL",
        "a crash": "FAIL",
    }
    assert "SIGSEGV" in found["a crash"].detail


# -- tracking and training -----------------------------------------------------------------------------------------


def followed(shift=0.0, drift=0.0):
    steps = np.array([[10.0, 20, 30, 40]] * 8)
    truth = np.array([[10.0 + k, 20, 30, 40] for k in range(10)])
    boxes = truth.copy()
    steps[:, 0] += shift
    boxes[5:, 0] += drift
    seconds = [0.2, 0.1, *[0.01] * 8]
    return dict(name="made", truth=truth.tolist(), boxes=boxes.tolist(), steps=steps.tolist(),
                seconds=seconds)  # fmt: skip


def test_boxes_after_the_same_state_have_to_be_close():
    def state(found):
        (result,) = tracking.compare_steps("cuda", found, followed())
        return result.state

    assert state(followed()) == "PASS" and state(followed(shift=0.2)) == "FAIL"
    one_far = followed()
    one_far["steps"][3][0] += 20
    assert state(one_far) == "FAIL"


def test_a_sequence_has_to_be_tracked_as_well():
    expected = followed()
    assert set(states(tracking.compare_whole("cuda", followed(drift=1.0), expected)).values()) == {"PASS", "info"}
    lost = followed()
    lost["boxes"][5:] = [[200.0, 20, 30, 40]] * 5
    assert states(tracking.compare_whole("cuda", lost, expected))["tracking a sequence, cuda"] == "FAIL"


def test_losses_have_to_agree_and_to_be_numbers():
    expected = {"losses": [4.0, 3.0, 2.0], "seconds": [1.0, 1.0]}

    def state(losses, precision="32-true"):
        (result,) = training.compare("cuda", precision, {"losses": losses, "seconds": [1.0, 1.0]}, expected)
        return result.state

    assert state([4.0, 3.0, 2.01]) == "PASS"
    assert state([4.01, 3.0, 2.0]) == "FAIL"
    assert state([4.01, 3.0, 2.0], "bf16-mixed") == "PASS"
    assert state([4.0, 3.0, 2.2]) == "FAIL"
    assert state([4.0, float("nan"), 2.0]) == "FAIL"


@pytest.fixture
def sequence(tmp_path):
    """Four images and their boxes, of which the last is unknown."""
    scene = benchmark_scene("rotation")
    folder = tmp_path / "cup"
    (folder / "img").mkdir(parents=True)
    for k in range(4):
        cv2.imwrite(str(folder / "img" / f"{k + 1:04d}.jpg"), scene.render(k)[..., ::-1])
    boxes = scene.boxes()[:4] + [1, 1, 0, 0]
    boxes[3] = np.nan
    (folder / "groundtruth_rect.txt").write_text("".join(",".join(map(str, box)) + "\n" for box in boxes))
    return folder


def test_a_sequence_of_the_user_is_followed(sequence, monkeypatch):
    monkeypatch.setattr(tracking, "use_full_float32", lambda: None)
    (found,) = tracking.whole("cpu", str(sequence), quick=True)
    assert found["name"] == "cup" and len(found["boxes"]) == len(found["seconds"]) == 4
    assert set(states(tracking.compare_whole("cpu", found, found)).values()) == {"PASS", "info"}
    (found,) = tracking.steps("cpu", str(sequence), quick=True)
    assert len(found["steps"]) == 3


def test_steps_of_a_training_are_kept(monkeypatch):
    monkeypatch.setattr(training, "use_full_float32", lambda: None)
    monkeypatch.setattr(training, "BATCH", 2)
    (found,) = training.train("cpu", "32-true", steps=2)
    assert len(found["losses"]) == 2 and np.isfinite(found["losses"]).all() and len(found["seconds"]) == 1


# -- the command ---------------------------------------------------------------------------------------------------


def test_results_are_told_and_kept_as_they_come(tmp_path, capsys):
    log = tmp_path / "check.json"

    def part():
        yield within("first", 1e-7, 1e-6, "two sizes", sizes=2)
        kept = json.loads(log.read_text())["results"]
        assert [r["state"] for r in kept] == [
            "PASS"
        ] and "PASS  first: 1.0e-07, at most 1e-06" in capsys.readouterr().out
        yield within("second", float("nan"), 1e-6)
        yield Result("third", "SKIP", "no kernels")

    assert command.check({"made": part}, log, "cpu") == {"PASS": 1, "FAIL": 1, "SKIP": 1}
    report = json.loads(log.read_text())
    assert report["machine"]["torch"] and report["results"][0]["figures"]["sizes"] == 2


def test_a_failure_is_the_exit_code(monkeypatch, capsys):
    for state, code in (("PASS", 0), ("SKIP", 0), ("FAIL", 1)):
        monkeypatch.setattr(machine, "machine", lambda devices, state=state: [Result("made", state, "for the test")])
        assert command.main(["machine", "--device", "cpu"]) == code
    assert "0 passed, 1 failed, 0 skipped" in capsys.readouterr().out


@with_kernels
def test_as_a_command():
    done = warm_python("-m", "pytracking.check", "operators", "--quick", "--device", "cpu", cwd=REPO)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASS  PrRoIPool") == 13 and "13 passed, 0 failed" in done.stdout


def test_mistakes_are_named(tmp_path, capsys):
    for arguments, said in (
        (["speeds"], "there is no part speeds"),
        (["tracking", "--sequence", str(tmp_path / "none")], "none"),
        (["tracking", "--sequence", str(tmp_path)], str(tmp_path)),
    ):
        with pytest.raises(SystemExit) as end:
            command.main(arguments)
        assert end.value.code == 2 and said in capsys.readouterr().err


# -- on a GPU ------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.kernels
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_computes_what_the_cpu_computes(capsys):
    """The whole check, with less of everything."""
    assert command.main(["--quick"]) == 0, capsys.readouterr().out
