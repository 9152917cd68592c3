"""Table S1 on data in COCO's layout, from a given detector."""

import functools
import json

import pytest
import safetensors.torch

from ltr.commands import ablate, ablate_detection
from ltr.dataset.generated.detection_set import write_generated_detection
from ltr.evaluation.trainings import rounds
from tests.helpers.executors import Here
from tests.helpers.tiny_detectors import LITE, make_detector


@pytest.fixture
def run(tmp_path, monkeypatch):
    """`ebm-ablate detection` with one step of each training on four images."""
    monkeypatch.setattr(ablate_detection, "train_rounds", functools.partial(rounds.train_rounds, make_executor=Here))
    write_generated_detection(tmp_path / "coco", train=4, val=3)
    base = tmp_path / "base.safetensors"
    safetensors.torch.save_file(make_detector("direct").state_dict(), base)
    small = (
        f"--detector.base.name {LITE.name} --detector.base.num_classes {LITE.num_classes} "
        f"--detector.base.min_size {LITE.min_size} --detector.base.max_size {LITE.max_size} --device cpu --workers 0 "
        f"--batch_size 2 --samples_per_epoch 2 --epochs 1 --data.val_images 1 --base_weights {base} "
        f"--data.root {tmp_path / 'coco'} --workspace {tmp_path}"
    )
    return lambda *arguments: ablate.main(["detection", *small.split(), *arguments])


def test_rows_beside_the_papers_and_nothing_twice(run, tmp_path, capsys, monkeypatch):
    rows = ["--rows", ".04375,.0875,.175", ".3", "--limit", "2"]
    assert run(*rows) == 0
    out = capsys.readouterr().out
    runs = tmp_path / "checkpoints" / "ltr" / "detection_sigmas"
    assert {p.name for p in runs.iterdir()} == {"ebm_0.04375_0.0875_0.175_0", "ebm_0.3_0"}
    cells = [line.split("}")[1].split()[2:] for line in out.splitlines() if line.startswith("L = ")]
    assert cells == [["1", "39.00"], ["1", "-"]]
    assert "The first 2 of 3 images" in out and "batch_size 2 (16)" in out
    assert not any("sigmas" in line for line in out.splitlines() if line.startswith("Not the"))
    file = tmp_path / "evaluation" / "detection_sigmas" / "table_s1_first2.json"
    assert json.loads(file.read_text())["results"].keys() == {p.name for p in runs.iterdir()}

    monkeypatch.setattr("ltr.models.detection.Detector.detect", lambda *a, **k: pytest.fail("this is done already"))
    assert run(*rows) == 0
    again = capsys.readouterr().out
    assert again.count("already trained") == 2 and again.count("L = ") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rows", "0"], "argument --rows: '0' is no row"),
        (["--proposals.sigmas", "1"], "--proposals.sigmas is no choice here"),
        (["--seed", "1"], "use --seeds N"),
        (["--detector.system", "laplace"], "--detector.system is no choice here"),
        (["--limit", "0"], "--limit"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(run, arguments, said, capsys):
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    err = capsys.readouterr().err
    assert caught.value.code == 2 and said in err and "Traceback" not in err
