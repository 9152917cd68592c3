"""From trained runs to the paper's tables: what is found, what is said, and that refinement is Algorithm S2."""

import functools
import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ebm_common import ascend_early_stop
from ltr.commands import ablate, search_steps
from ltr.commands import train as train_command
from ltr.commands.evaluate import main
from ltr.common.errors import UserError
from ltr.common.settings import OptimizerSettings
from ltr.dataset import read_utkface_split
from ltr.evaluation import TASKS, age, head_pose
from ltr.evaluation.regression import (
    BASELINES,
    RegressionEvaluationOptions,
    RegressionRefinementSettings,
    errors,
    evaluate_runs,
)
from ltr.evaluation.regression.ablation import PAPER_ERRORS
from ltr.evaluation.regression.errors import mean_absolute_errors, refine
from ltr.evaluation.regression.table import make_table
from ltr.evaluation.runs import check_alike, find_runs
from ltr.evaluation.steps import regression as regression_search
from ltr.evaluation.tables import Mean
from ltr.models.weights_file import read_safetensors
from ltr.train_settings.registry import load_settings
from ltr.trainers.trainer import Trainer
from tests.helpers.executors import make_one_by_one
from tests.helpers.faces import OPTIONS, make_pointing04, make_utkface

SHORT = [*OPTIONS, "--epochs", "1", "--val_every", "1"]


@pytest.fixture(scope="module")
def workspace(module_folder):
    """A workspace with two runs each of direct_l2 and ebm, one of gaussian, and one that is not finished."""
    root = module_folder
    make_utkface(root / "utkface")
    make_pointing04(root / "pointing04")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EBM_UTKFACE", str(root / "utkface"))
        for name, seed in (("direct_l2", 0), ("direct_l2", 1), ("ebm", 0), ("ebm", 1), ("gaussian", 2)):
            options = [*SHORT, "--seed", str(seed), "--run_name", f"{name}_{seed}", "--workspace", str(root)]
            assert train_command.main(["age", name, *options]) == 0
    runs = root / "checkpoints" / "ltr" / "age"
    (runs / "laplace").mkdir()
    shutil.copy(runs / "gaussian_2" / "last.pth", runs / "laplace")
    return root


@pytest.fixture(autouse=True)
def paths(workspace, monkeypatch):
    for name in ("utkface", "pointing04"):
        monkeypatch.setenv(f"EBM_{name.upper()}", str(workspace / name))


@pytest.fixture
def runs(workspace, tmp_path):
    """A copy of the runs, to damage, without what only a training reads."""
    ignored = shutil.ignore_patterns("best.pth", "tensorboard")
    return Path(shutil.copytree(workspace / "checkpoints" / "ltr" / "age", tmp_path / "runs", ignore=ignored))


def options(workspace, **changes) -> RegressionEvaluationOptions:
    return RegressionEvaluationOptions(RegressionRefinementSettings(3.0), workspace=workspace, device="cpu", **changes)


# --- errors and refinement


def test_mean_absolute_errors_by_hand():
    label = torch.tensor([[10.0, -5.0], [20.0, 5.0], [30.0, 0.0]])
    prediction = torch.tensor([[11.0, -5.0], [18.0, 8.0], [33.0, 3.0]])
    assert mean_absolute_errors(prediction, label, ("yaw", "pitch")) == {"yaw": 2.0, "pitch": 2.0, "avg": 2.0}
    prediction[0, 0] = 16
    found = mean_absolute_errors(prediction, label, ("yaw", "pitch"))
    assert found["yaw"] == pytest.approx(11 / 3) and found["avg"] == pytest.approx((11 / 3 + 2) / 2)
    assert mean_absolute_errors(prediction[:, :1], label[:, :1], ("age",)) == {"age": pytest.approx(11 / 3)}


class Hill(nn.Module):
    """f = -|y - top|^2 / 2 with its top at the features: a step of 1 is exact."""

    def energy(self, features, y):
        return -0.5 * (y - features[:, None]).square().sum(-1)


def test_refinement_reaches_a_known_maximum():
    top, start = torch.randn(2500, 2), torch.randn(2500, 2)  # more than one part
    torch.testing.assert_close(refine(Hill(), top, start, 1.0, RegressionRefinementSettings()), top)
    halfway = refine(Hill(), top, start, 0.5, RegressionRefinementSettings(iterations=1))
    torch.testing.assert_close(halfway, (top + start) / 2)


@pytest.mark.parametrize("task, step", [(age.TASK, 3.0), (head_pose.TASK, 0.1)])
def test_refinement_is_algorithm_s2_with_the_papers_constants(task, step, monkeypatch):
    seen = []
    monkeypatch.setattr(errors, "ascend_early_stop", lambda *a: (seen.append(a[2:]), ascend_early_stop(*a))[1])
    refine(Hill(), torch.zeros(3, 1), torch.ones(3, 1), task.step, RegressionRefinementSettings())
    assert seen == [(step, 5, 0.001, -0.01)]


def test_papers_figures():
    """Spot checks, each row's average against its angles, and that every method is there with and without '+'."""
    for task in (age.TASK, head_pose.TASK):
        assert set(task.paper) == {m + end for m in BASELINES.values() for end in ("", "+")}
    assert age.TASK.paper["Direct - L2+"]["age"] == Mean(4.65, 0.02)
    for row in head_pose.TASK.paper.values():
        angles = [row[a].value for a in ("yaw", "pitch", "roll")]
        assert row["avg"].value == pytest.approx(sum(angles) / 3, abs=0.011)


# --- runs


def test_finds_systems_seeds_and_what_is_not_finished(runs):
    found, problems = find_runs("age", [runs])
    assert [(r.system, r.seed, r.name) for r in found] == [
        ("direct_l2", 0, "direct_l2_0"),
        ("direct_l2", 1, "direct_l2_1"),
        ("ebm", 0, "ebm_0"),
        ("ebm", 1, "ebm_1"),
        ("gaussian", 2, "gaussian_2"),
    ]
    assert len(problems) == 1 and "laplace is not finished" in problems[0]
    assert (found[0].epochs, found[0].settings.samples_per_epoch) == (1, 56)
    assert found[2].settings.loss.num_samples == 32
    named, _ = find_runs("age", [runs / "ebm_1", runs / "gaussian_2"])
    assert [r.name for r in named] == ["ebm_1", "gaussian_2"]


def test_damaged_runs_are_listed_and_the_others_serve(runs):
    file = runs / "direct_l2_0" / "direct_l2_final.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    shutil.copy(runs / "ebm_0" / "ebm_final.safetensors", runs / "ebm_1" / "other_final.safetensors")
    found, problems = find_runs("age", [runs])
    assert [r.name for r in found] == ["direct_l2_1", "ebm_0", "gaussian_2"]
    assert sorted(p.split(": ")[1].split("/")[-1][:11] for p in problems)[:2] == ["direct_l2_f", "ebm_1 has s"]


def test_runs_of_another_task_or_program_are_listed(runs):
    save_file({"a": torch.zeros(1)}, runs / "gaussian_2" / "gaussian_final.safetensors")
    found, problems = find_runs("age", [runs])
    assert "gaussian_2" not in [r.name for r in found]
    assert any("gaussian_final.safetensors does not say how it was trained" in p for p in problems)


def test_runs_that_differ_cannot_share_a_table(runs):
    found, _ = find_runs("age", [runs])
    check_alike(found)
    found[4].settings.loss.num_samples = 7  # what a baseline does not use
    check_alike(found)
    found[3].settings.loss.sigmas = (0.1, 10.0)
    with pytest.raises(UserError, match=r"ebm_0 and ebm_1 cannot share a table: loss.sigmas is .*--runs"):
        check_alike(found)
    found[3].settings.loss.sigmas = found[2].settings.loss.sigmas
    found[4].settings.optimizer.lr = 0.5
    with pytest.raises(UserError, match="direct_l2_0 and gaussian_2 cannot share a table: optimizer.lr is"):
        check_alike(found)


def test_without_runs_the_way_out_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["age", "--workspace", str(tmp_path)])
    assert "no folder" in capsys.readouterr().err
    (tmp_path / "checkpoints" / "ltr" / "age").mkdir(parents=True)
    with pytest.raises(SystemExit):
        main(["age", "--workspace", str(tmp_path)])
    assert "ebm-train age direct_l2" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["shoe_size"])
    assert f"there are: {', '.join(TASKS)}" in capsys.readouterr().err and set(TASKS) >= {"age", "head_pose"}


# --- tables


def test_errors_are_those_of_the_networks(workspace):
    """Of the very images, through the very networks, without the cache; and of each refined by the EBM of its seed."""
    found, _ = find_runs("age", [workspace / "checkpoints" / "ltr" / "age"])
    results, images = evaluate_runs(age.TASK, found, options(workspace, refine=True))
    assert list(results) == ["direct_l2", "gaussian"] and len(images) == 24
    test = read_utkface_split(workspace / "utkface", "test")
    x = torch.stack([torch.from_numpy(test.image(k)).permute(2, 0, 1) for k in range(24)])
    label = torch.tensor(test.labels)
    loaded = {run.name: run.load(1, torch.device("cpu")) for run in found}
    pairs = {"direct_l2_0": "ebm_0", "direct_l2_1": "ebm_1", "gaussian_2": "ebm_0"}
    for result in [r for part in results.values() for r in part]:
        with torch.no_grad():
            prediction = loaded[result.run].predict(x)
            assert result.errors["age"] == pytest.approx((prediction - label).abs().mean().item(), rel=1e-3)
            ebm = loaded[pairs[result.run]].net
            energy = functools.partial(ebm.energy, ebm.encode(x))
            refined = ascend_early_stop(energy, prediction[:, None], 3.0).y[:, 0]
        assert result.refined_by == pairs[result.run]
        assert result.refined_errors["age"] == pytest.approx((refined - label).abs().mean().item(), rel=1e-3)
        without = (prediction - label).abs()[:-1].mean().item()  # the last image is one of training
        assert result.errors["age without 1 duplicates"] == pytest.approx(without, rel=1e-3)


def test_command_as_a_user_gives_it(workspace, tmp_path, monkeypatch, capsys):
    """Table on the terminal and in three files; what is missing is said and is no failure."""
    monkeypatch.chdir(tmp_path)
    assert main(["age", "--refine", "--workspace", str(workspace), "--out", "out"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    rows = {line.split("  ")[0]: line.split() for line in lines if line.startswith(("Direct", "Gaussian"))}
    assert list(rows) == ["Direct - L2", "Direct - L2 + Refinement", "Gaussian", "Gaussian + Refinement"]
    assert rows["Direct - L2"][-3:] == ["4.81", "±", "0.02"] and rows["Gaussian"][-4:] == ["1", "4.79", "±", "0.06"]
    assert (
        "No finished run of direct_huber, laplace, softmax_ce_l2, softmax_ce_l2_var; train one: ebm-train age NAME."
        in out
    )
    others = [line.split() for line in lines if line.startswith(("Niu", "Cao"))]
    assert [row[-4:] for row in others] == [["-", "5.74", "±", "0.05"], ["-", "5.47", "±", "0.01"]]
    [note] = [line for line in lines if line.startswith("Not the paper's setting")]
    for said in ("encoder.name efficientnet_lite0 (resnet50)", "epochs 1 (75)", "loss.num_samples 32 (1024)"):
        assert said in note
    assert "seed" not in note and "bins" not in note  # no softmax was trained
    assert "laplace is not finished" in out
    assert "lambda = 3, by ebm_0 and ebm_1." in out and "M = 32" in out
    assert (tmp_path / "out" / "test.txt").read_text() == "\n".join(lines[:-3]) + "\n"
    report = json.loads((tmp_path / "out" / "test.json").read_text())
    first, second = report["results"]["direct_l2"]
    mean = Mean.of([first["errors"]["age"], second["errors"]["age"]])
    assert " ".join(rows["Direct - L2"]).startswith(f"Direct - L2 {mean.text()} ")
    assert first["refined_by"] == "ebm_0" and len(report["runs"]) == 5
    assert mean.latex() in (tmp_path / "out" / "test.tex").read_text()


def test_without_an_ebm_the_baselines_are_still_shown(runs, workspace, capsys):
    for name in ("ebm_0", "ebm_1"):
        shutil.rmtree(runs / name)
    arguments = ["--refine", "--split", "val", "--runs", str(runs), "--workspace", str(workspace)]
    assert main(["age", *arguments]) == 0
    out = capsys.readouterr().out
    assert "softmax_ce_l2_var, ebm; train one:" in out and "+ Refinement" not in out and "duplicates" not in out
    assert "paper  " not in out and "4.81" not in out and "Niu" not in out  # the paper's figures are of the test
    assert (workspace / "evaluation" / "age" / "val.tex").is_file()


def test_head_pose_has_a_column_for_each_angle(workspace, capsys):
    extra = ["--data.set", "pointing04", "--workspace", str(workspace)]
    for name in ("direct_l2", "ebm"):
        assert train_command.main(["head_pose", name, *SHORT, *extra]) == 0
    capsys.readouterr()
    assert main(["head_pose", "--refine", "--workspace", str(workspace)]) == 0
    out = capsys.readouterr().out
    header = next(line for line in out.splitlines() if "yaw" in line)
    assert header.split() == ["yaw", "pitch", "avg", "runs", "yaw", "pitch", "avg"]
    assert "12 images" in out and "3.07 ± 0.07" in out and "data.set pointing04 (biwi_fsanet)" in out
    rows = [line.split()[-3:] for line in out.splitlines() if line.startswith(("Yang", "Gu"))]
    assert rows == [["4.24", "4.35", "4.26"], ["3.91", "4.03", "3.66"], ["2.89", "4.29", "3.60"]]


def test_every_setting_that_is_not_the_papers_is_noted(workspace, runs):
    """One that nobody thought of, too; all images of the set stand for the paper's number of images."""
    found, _ = find_runs("age", [runs])
    results, images = evaluate_runs(age.TASK, found, options(workspace))

    def note(**changes):
        changed = []
        for run in found:
            paper = load_settings("age", run.system).settings()
            settings = replace(paper, samples_per_epoch=len(read_utkface_split(workspace / "utkface", "train", 0)))
            changed.append(replace(run, settings=replace(settings, **changes), epochs=75))
        notes = make_table(age.TASK, results, changed, images, options(workspace), []).notes
        return [line for line in notes if line.startswith("Not the paper's")]

    assert note() == note(seed=7) == note(initial_scale=1.0) == []
    assert note(batch_size=16) == ["Not the paper's setting, which is in brackets: batch_size 16 (32)."]
    assert "optimizer.weight_decay 0 (0.001)" in note(optimizer=OptimizerSettings(weight_decay=0.0))[0]
    assert "samples_per_epoch 3 (0)" in note(samples_per_epoch=3)[0]
    assert "initial_scale 45 (1)" in note(initial_scale=45.0)[0]


def test_a_table_needs_no_training_images(workspace, runs, tmp_path, monkeypatch):
    """They may be where the runs were trained: what depends on them is not noted, and all else is."""
    found, _ = find_runs("age", [runs])
    results, images = evaluate_runs(age.TASK, found, options(workspace))
    monkeypatch.setenv("EBM_UTKFACE", str(tmp_path / "elsewhere"))
    [note] = [
        line
        for line in make_table(age.TASK, results, found, images, options(workspace), []).notes
        if line.startswith("Not the paper's")
    ]
    assert "epochs 1 (75)" in note and "samples_per_epoch" not in note


def test_the_searched_step_is_that_of_the_evaluation_and_is_used_by_it(workspace, runs, tmp_path, capsys, caplog):
    """The grid has the evaluation's errors on validation images; its best is beside the runs; an option wins."""
    where = ["--runs", str(runs), "--workspace", str(workspace), "--out", str(tmp_path / "out")]
    assert search_steps.main(["age", "--step", "30", "0.001", "3", *where]) == 0
    shown = capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "step.json").read_text())
    assert report["axes"] == {"step": [0.001, 3.0, 30.0]} and report["parts"].keys() == {"Direct - L2", "Gaussian"}
    found, _ = find_runs("age", [runs])
    means = {}
    for k, step in enumerate(report["axes"]["step"]):
        chosen = RegressionEvaluationOptions(
            RegressionRefinementSettings(step), True, "val", workspace=workspace, device="cpu"
        )
        results, images = evaluate_runs(age.TASK, found, chosen)
        for system, method in (("direct_l2", "Direct - L2"), ("gaussian", "Gaussian")):
            errors = [r.refined_errors["age"] for r in results[system]]
            assert report["parts"][method][k] == pytest.approx(sum(errors) / len(errors), rel=1e-6)
            means.setdefault(step, []).append(sum(errors) / len(errors))
    best = min(means, key=lambda step: sum(means[step]))
    assert report["best"] == {"step": best} and f"Chosen (*): step {best:g}: {sum(means[best]) / 2:.2f};" in shown
    assert f"On {len(images)} validation images of" in shown and "3 runs of baselines, refined by ebm_0, ebm_1" in shown

    evaluation = ["age", "--refine", "--runs", str(runs), "--workspace", str(workspace), "--out", str(tmp_path / "out")]
    assert main(evaluation) == 0
    table = capsys.readouterr().out
    assert f"lambda = {best:g}, by ebm_0 and ebm_1." in table
    assert f"The step {best:g} was chosen by ebm-search-steps on {len(images)} validation images of" in table
    assert main([*evaluation, "--refinement.step", "7"]) == 0
    table = capsys.readouterr().out
    assert "lambda = 7, by ebm_0 and ebm_1." in table and "was chosen by" not in table and not caplog.text

    metadata, weights = read_safetensors(runs / "ebm_0" / "ebm_final.safetensors")
    save_file({k: v + 0.01 for k, v in weights.items()}, runs / "ebm_0" / "ebm_final.safetensors", metadata)
    assert main([*evaluation, "--split", "val"]) == 0
    table = capsys.readouterr().out
    assert "lambda = 3, by ebm_0." in table and f"lambda = {best:g}, by ebm_1." in table
    assert "was written for earlier weights of ebm_final.safetensors" in caplog.text


def test_a_stopped_search_keeps_what_it_has(workspace, runs, tmp_path, monkeypatch, capsys):
    command = ["age", "--step", "1", "--runs", str(runs), "--workspace", str(workspace), "--out", str(tmp_path)]
    apply, applied = regression_search.apply_to_images, []

    def stopped(function, run, *rest):
        applied.append(run.name)
        if len(applied) == 3:
            raise KeyboardInterrupt
        return apply(function, run, *rest)

    monkeypatch.setattr(regression_search, "apply_to_images", stopped)
    with pytest.raises(SystemExit, match="130"):
        search_steps.main(command)
    assert "all that was measured is kept, and the same command continues" in capsys.readouterr().err
    assert search_steps.main(command) == 0
    assert applied == ["ebm_0", "direct_l2_0", "gaussian_2", "ebm_0", "gaussian_2", "ebm_1", "direct_l2_1"]


def test_a_search_without_an_ebm_or_a_baseline_says_which(runs, workspace, capsys):
    for left, said in (("direct_l2_0", "energy-based run was found; train one: ebm-train age ebm"),
                       ("ebm_0", "run of a baseline was found; train one: ebm-train age direct_l2")):  # fmt: skip
        with pytest.raises(SystemExit):
            search_steps.main(["age", "--runs", str(runs / left), "--workspace", str(workspace)])
        assert said in capsys.readouterr().err


def test_ablation_trains_every_pair_and_goes_on(workspace, monkeypatch, capsys):
    """Two of Table S3's pairs, the second stopped in its middle: the same command ends with the same table."""
    monkeypatch.setitem(PAPER_ERRORS, "age", {(0.1, 10.0): 7.62, (0.1, 20.0): 5.12})
    command = ["age", "--baseline", "direct_huber", *SHORT, "--workspace", str(workspace)]
    train = Trainer.train
    stopped = []

    def train_or_stop(trainer, restart):
        if trainer.folder.name == "ebm_0.1_20_0" and not stopped:
            stopped.append(trainer)
            signal.raise_signal(signal.SIGINT)  # as the command gets it
            trainer._received.number = signal.SIGINT  # as it passes it on
        return train(trainer, restart)

    monkeypatch.setattr(Trainer, "train", train_or_stop)
    make_one_by_one(monkeypatch, ablate)
    assert ablate.main(command) == 130 and "MAE" not in capsys.readouterr().out
    assert ablate.main(command) == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines() if line.startswith("0.1,")]
    assert [row[:2] + row[3:] for row in rows] == [["0.1,", "10", "7.62"], ["0.1,", "20", "5.12"]]
    assert rows[0][2] != rows[1][2] and "of Direct - Huber after refinement" in out
    folder = workspace / "checkpoints" / "ltr" / "age_sigmas"
    assert out.count("already trained") == 2
    assert "continuing from" in (folder / "ebm_0.1_20_0" / "train.log").read_text()
    assert {p.name for p in folder.iterdir() if p.is_dir()} == {"direct_huber_0", "ebm_0.1_10_0", "ebm_0.1_20_0"}
    assert (folder / "table.txt").read_text() in out and rows[1][2] in (folder / "table.tex").read_text()
    written = json.loads((folder / "table.json").read_text())
    assert written["baseline"] == "direct_huber"
    assert [f"{here['value']:.2f}" for _, (here, _) in written["rows"]] == [row[2] for row in rows]
    assert ablate.main([*command, "--loss.num_samples", "8"]) == 1
    assert "loss.num_samples: 32 there, 8 now" in capsys.readouterr().err

    def stop_at_once(trainer, restart):
        stopped.append(restart)
        signal.raise_signal(signal.SIGINT)
        trainer.stop_signal = signal.SIGINT

    monkeypatch.setattr(Trainer, "train", stop_at_once)
    assert ablate.main([*command, "--loss.num_samples", "8", "--restart"]) == 130  # the remedy that the message names
    assert stopped[-1] is True


def test_ablations_are_the_papers():
    assert min(PAPER_ERRORS["age"].items(), key=lambda pair: pair[1]) == ((0.1, 20.0), 5.12)
    assert min(PAPER_ERRORS["head_pose"].items(), key=lambda pair: pair[1]) == ((1.0, 20.0), 5.08)
    for task, pairs in PAPER_ERRORS.items():  # the best is what the settings have
        assert load_settings(task, "ebm").settings().loss.sigmas == min(pairs, key=pairs.get)
