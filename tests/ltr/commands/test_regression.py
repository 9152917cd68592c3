"""What training, evaluation and ablation of age and head pose refuse, and what they leave out, is one sentence each."""

import shlex

import pytest
import torch
from safetensors.torch import save_file

from ltr.commands import ablate, evaluate, train
from ltr.data import encoded_samples
from ltr.evaluation.runs import find_runs
from ltr.train_settings.registry import load_settings
from tests.helpers.faces import OPTIONS, make_utkface


@pytest.fixture(autouse=True)
def utkface(tmp_path, monkeypatch):
    monkeypatch.setenv("EBM_UTKFACE", str(make_utkface(tmp_path / "utkface")))


@pytest.mark.parametrize(
    ("command", "options", "said"),
    [
        (train, "age ebm --encoder.frozen_copies -1", "--encoder.frozen_copies is -1; it must be at least 0."),
        (train, "age gaussian --initial_scale nan", "--initial_scale is nan; it must be positive and finite."),
        (train, "age laplace --initial_scale 0", "--initial_scale is 0.0; it must be positive and finite."),
        (train, "age ebm --loss.kind sm", "score matching needs curvature in y"),
        (train, "age ebm --augment.size 0", "do not fit each other: no samples can be made by"),
        (train, "age softmax_ce_l2 --bins.num_bins 1", "do not fit each other: bins need"),
        (ablate, "age --system gaussian", "--system is no choice here"),
        (evaluate, "age --workers -1", "--workers is -1; it must be at least 0."),
        (evaluate, "age --refinement.iterations -1", "--refinement.iterations is -1; it must be at least 0."),
    ],
)
def test_bad_options_are_one_sentence(command, options, said, tmp_path, capsys):
    shared = [] if command is evaluate else OPTIONS
    task, *own = shlex.split(options)
    first = 1 if own[0].startswith("--") else 2  # a system's name comes before its options
    arguments = [task, *own][:first] + [*shared, "--workspace", str(tmp_path)] + [task, *own][first:]
    with pytest.raises(SystemExit) as caught:
        command.main(arguments)
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err and err.count("error: ") == 1


@pytest.mark.parametrize(
    "settings",
    ["[]", '{"system": "ebm", "encoder": 3}', '{"system": "ebm", "optimizer": [1]}', '{"system": ["ebm"]}', "{"],
)
def test_weights_of_something_else_are_left_out(settings, tmp_path):
    folder = tmp_path / "runs" / "stranger"
    folder.mkdir(parents=True)
    save_file({"a": torch.zeros(1)}, folder / "a_final.safetensors", {"settings": settings, "epochs": "1"})
    runs, problems = find_runs("age", [tmp_path / "runs"])
    assert not runs and len(problems) == 1 and "stranger" in problems[0] and "\n" not in problems[0]


def test_features_are_computed_where_the_option_says(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    devices = []
    compute = encoded_samples._compute
    monkeypatch.setattr(encoded_samples, "_compute", lambda *a: (devices.append(a[3].type), compute(*a))[1])
    definition = load_settings("age", "direct_l2")
    s = definition.settings()
    s.device, s.workers, s.workspace = "cpu", 0, tmp_path
    s.encoder.name, s.encoder.frozen_copies, s.augment.size = "efficientnet_lite0", 1, 32
    definition.build(s)
    assert devices == ["cpu", "cpu"]  # training and validation


def test_what_is_best_of_an_energy_is_its_likelihood(tmp_path):
    """Contrastive divergence is zero on average at the optimum; its least value says nothing."""
    for name, loss, best in (("ebm", "nll", "nll"), ("ebm", "mcmc", "nll"), ("laplace", "nll", "mae")):
        definition = load_settings("age", name)
        s = definition.settings()
        s.loss.kind, s.encoder.name = loss, "efficientnet_lite0"
        assert definition.build(s).best == best
