"""Every kind of file that a box network is loaded from, and every kind that is refused."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch

from ltr.common.errors import UserError
from ltr.models.bbreg import AtomNet, AtomNetConfig, atom, load_atom_net, save_head
from ltr.models.bbreg.export import main as export
from ltr.models.weights_file import read_safetensors
from ltr.trainers.checkpoint import save_checkpoint
from tests.helpers.hostile_pickle import Command

SMALL = AtomNetConfig(channels=(8, 12), hidden=(16, 20))


def assert_same(net: AtomNet, other: AtomNet, prefix: str = "") -> None:
    state, expected = net.state_dict(), other.state_dict()
    assert state.keys() == expected.keys()
    for name in state:
        if name.startswith(prefix):
            assert torch.equal(state[name], expected[name]), name


def score(net: AtomNet) -> torch.Tensor:
    """What the network says of a few boxes in one fixed image."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(1, 3, 96, 96, generator=generator)
    box = torch.tensor([[30.0, 30.0, 32.0, 32.0]])
    head = net.bb_regressor
    with torch.no_grad():
        found = net.feature_extractor(images)
        features = head.encode(head.modulation(found, box), found, box[:, 2:])
        return head.score(features, box[:, None] + 6 * torch.randn(1, 8, 4, generator=generator))


@pytest.fixture(scope="module")
def small() -> AtomNet:
    torch.manual_seed(3)
    return AtomNet(SMALL).eval()


@pytest.fixture
def training_checkpoint(small, tmp_path) -> Path:
    """As ltr/trainers/trainer.py writes it."""
    save_checkpoint(
        tmp_path / "last.pth",
        {
            "model": small.state_dict(),
            "optimizer": {"state": {}, "param_groups": []},
            "position": {"epoch": 7, "step": 3},
            "settings": {
                "seed": 0,
                "workspace": "/home/someone",
                "model": {"backbone": "efficientnet_lite0", "channels": [8, 12], "hidden": [16, 20]},
            },
            "versions": {"torch": "2"},
        },
    )
    return tmp_path / "last.pth"


@pytest.fixture
def final_weights(small, tmp_path) -> Path:
    """The whole network as the trainer exports it at the end."""
    about = {"settings": json.dumps({"seed": 0, "model": asdict(SMALL)}), "versions": "{}", "epochs": "20"}
    file = tmp_path / "ebm_final.safetensors"
    file.write_bytes(safetensors.torch.save({k: v.clone() for k, v in small.state_dict().items()}, about))
    return file


# --- what is loaded


def test_head_round_trip_is_exact_in_full_precision(small, tmp_path):
    save_head(
        small, tmp_path / "head.safetensors", half=False, notes={"data": "some", "config": "cannot be overwritten"}
    )
    loaded = load_atom_net(tmp_path / "head.safetensors", backbone="efficientnet_lite0")
    assert loaded.config == SMALL and loaded.notes == {"data": "some"}
    assert not any(m.training for m in loaded.modules())
    assert_same(loaded, small)  # the backbone too: both have ImageNet's weights


def test_head_in_half_precision(small, tmp_path):
    net = AtomNet(SMALL, imagenet=False)
    net.load_state_dict(small.state_dict())
    net.bb_regressor.fc3_rt.bn.running_var[0] = 1e6  # beyond half precision
    save_head(net, tmp_path / "head.safetensors")
    save_head(net, tmp_path / "full.safetensors", half=False)
    loaded = load_atom_net(tmp_path / "head.safetensors")
    assert loaded.bb_regressor.fc3_rt.bn.running_var[0] == 1e6
    assert all(v.dtype == torch.float32 for v in loaded.state_dict().values() if v.is_floating_point())
    before, after = score(net.eval()), score(loaded)
    assert before.std() > 1e-3
    torch.testing.assert_close(after, before, rtol=0.02, atol=0.02 * before.abs().max().item())
    assert (tmp_path / "head.safetensors").stat().st_size < 0.6 * (tmp_path / "full.safetensors").stat().st_size


def test_training_checkpoint_and_final_weights(small, training_checkpoint, final_weights):
    for file, epochs in ((training_checkpoint, "7"), (final_weights, "20")):
        loaded = load_atom_net(file)
        assert loaded.config == SMALL and loaded.notes["epochs"] == epochs
        assert json.loads(loaded.notes["settings"])["seed"] == 0
        assert_same(loaded, small)


@pytest.mark.parametrize("full_precision", [False, True])
def test_export_makes_a_head_of_a_training(small, training_checkpoint, tmp_path, capsys, full_precision):
    output = tmp_path / "ebm.safetensors"
    assert export([str(training_checkpoint), str(output), *["--full_precision"] * full_precision]) == 0
    assert "efficientnet_lite0" in capsys.readouterr().out
    with safetensors.safe_open(str(output), "pt") as archive:
        header = archive.metadata()
        assert not any("feature_extractor" in name for name in archive.keys())  # noqa: SIM118
    assert (header["source"], header["epochs"]) == ("last.pth", "7")
    settings = json.loads(header["settings"])
    assert settings["model"]["channels"] == [8, 12] and "workspace" not in settings
    loaded = load_atom_net(output)
    if full_precision:
        assert_same(loaded, small)
    else:
        torch.testing.assert_close(score(loaded), score(small), rtol=0.02, atol=0.02)


def test_export_refuses_in_one_line(tmp_path, capsys, training_checkpoint):
    for arguments in (
        ["nowhere.pth", str(tmp_path / "a.safetensors")],
        [str(training_checkpoint), "no/folder.safetensors"],
    ):
        with pytest.raises(SystemExit) as caught:
            export(arguments)
        assert caught.value.code == 2
        error = capsys.readouterr().err
        assert (
            error.startswith("error: ")
            and error.count("\n") == 1
            and arguments[-1 if "no/" in arguments[1] else 0] in error
        )
    with pytest.raises(SystemExit):
        export([str(training_checkpoint), "head.pth"])


# --- what is refused


def refusal(file: Path, **options) -> str:
    with pytest.raises(UserError) as caught:
        load_atom_net(file, **options)
    message = str(caught.value)
    assert str(file) in message and "\n" not in message
    return message


def test_a_pickle_that_would_run_code_is_refused(small, tmp_path):
    file = tmp_path / "evil.pth"
    for content in ({"net": small.state_dict(), "settings": Command(tmp_path / "ran")}, Command(tmp_path / "ran")):
        for zipped in (True, False):
            torch.save(content, file, _use_new_zipfile_serialization=zipped)
            assert f"names {os.system.__module__}.system, and anything but" in refusal(file)
            torch.save(content, file, pickle_protocol=4, _use_new_zipfile_serialization=zipped)
            assert "save it again by torch.save without pickle_protocol" in refusal(file)
    assert not (tmp_path / "ran").exists()
    # and the stand-ins for PyTracking's classes are gone when nothing of PyTracking is read
    assert not any("ltr.admin.settings" in str(g) for g in torch.serialization.get_safe_globals())


def test_damaged_files_are_refused(small, training_checkpoint, tmp_path):
    save_head(small, tmp_path / "head.safetensors")
    for good in (training_checkpoint, tmp_path / "head.safetensors"):
        content = good.read_bytes()
        for number, damaged in enumerate(
            (b"", b"not weights at all", content[: len(content) // 2], content[:-50], content[:5])
        ):
            file = tmp_path / f"{number}{good.suffix}"
            file.write_bytes(damaged)
            refusal(file)
    flipped = bytearray(training_checkpoint.read_bytes())
    flipped[len(flipped) // 2] ^= 0x40
    (tmp_path / "flipped.pth").write_bytes(flipped)
    assert "checksum" in refusal(tmp_path / "flipped.pth")
    assert "there is no checkpoint" in refusal(tmp_path / "nowhere.pth")
    refusal(tmp_path)


def test_another_backbone_is_refused(training_checkpoint, tmp_path):
    message = refusal(training_checkpoint, backbone="resnet18")
    assert "trained on the backbone efficientnet_lite0, but resnet18 was asked for" in message


def test_other_networks_are_refused(small, tmp_path):
    file = tmp_path / "other.pth"
    state = small.state_dict()
    settings = {"model": asdict(SMALL)}
    for content, said in (
        ({"conv1.weight": torch.zeros(3)}, "no parameters bb_regressor"),
        ([1, 2], "no parameters bb_regressor"),
        ({"net": {"classifier.weight": torch.zeros(3)}}, "no parameters bb_regressor"),
        ({"net": state}, "bb_regressor|feature_extractor"),  # efficientnet_lite0 in the place of ResNet-18
        ({"model": state, "settings": {"batch_size": 3}}, "how the network was configured"),
        (
            {"model": state, "settings": {"model": {"backbone": "vgg", "channels": [8, 12], "hidden": [16, 20]}}},
            "'vgg'",
        ),
        (
            {"model": state, "settings": {"model": {"backbone": ["x"], "channels": [8, 12], "hidden": [16, 20]}}},
            "backbone",
        ),
        (
            {"model": state, "settings": {"model": {"backbone": "efficientnet_lite0", "channels": 8, "hidden": 3}}},
            "config",
        ),
        ({"model": state, "settings": {"model": {**asdict(SMALL), "channels": [8, 13]}}}, "has shape"),
        (
            {"model": {**state, "bb_regressor.iou_predictor.bias": torch.tensor([float("nan")])}, "settings": settings},
            "finite",
        ),
        ({"model": {k: v for k, v in state.items() if "iou_predictor" not in k}, "settings": settings}, "is missing"),
    ):
        torch.save(content, file)
        with pytest.raises(UserError, match=said):
            load_atom_net(file)
        refusal(file)


def test_other_safetensors_are_refused(small, tmp_path):
    file = tmp_path / "other.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(3)}, file)
    assert "how the network was configured" in refusal(file)
    for header in ({"config": "{"}, {"config": "[1]"}, {"settings": "{}"}, {"settings": "no JSON"}, {"config": "null"}):
        safetensors.torch.save_file({"weight": torch.zeros(3)}, file, header)
        refusal(file)
    safetensors.torch.save_file({"weight": torch.zeros(3)}, file, {"config": json.dumps(asdict(SMALL))})
    assert "is missing" in refusal(file)
    with torch.no_grad():
        broken = AtomNet(SMALL, imagenet=False)
        broken.bb_regressor.iou_predictor.weight[0, 0] = float("inf")
    save_head(broken, file)
    assert "not finite" in refusal(file)


def test_a_head_that_cannot_be_written(small, tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        save_head(small, tmp_path / "no" / "folder" / "head.safetensors")
    (tmp_path / "taken.safetensors").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        save_head(small, tmp_path / "taken.safetensors")
    assert [f.name for f in tmp_path.iterdir()] == ["taken.safetensors"]


@pytest.mark.parametrize("wide", [8_000, 100_000, 10**10, 10**30, True, 8.0])
def test_a_header_alone_does_not_build_a_large_network(small, tmp_path, monkeypatch, wide):
    """The shapes of the tensors in the file are compared before anything takes the memory that the header asks for."""
    file = tmp_path / "head.safetensors"
    save_head(small, file)
    header, state = read_safetensors(file)
    config = {"backbone": "efficientnet_lite0", "channels": [8, wide], "hidden": [16, 20]}
    safetensors.torch.save_file(state, file, {**header, "config": json.dumps(config)})
    monkeypatch.setattr(atom, "AtomNet", None)
    assert "is of another network" in refusal(file)


def test_one_number_that_claims_to_be_a_large_tensor_is_refused(small, tmp_path):
    state = {k: v.flatten()[:1].clone().expand(v.shape) if v.ndim else v for k, v in small.state_dict().items()}
    torch.save({"model": state, "settings": {"model": asdict(SMALL)}}, tmp_path / "a.pth")
    assert "too few numbers" in refusal(tmp_path / "a.pth")


def test_odd_contents_are_refused_in_a_sentence(small, tmp_path):
    file, state = tmp_path / "a.pth", small.state_dict()
    settings = {"model": asdict(SMALL)}
    name = "bb_regressor.iou_predictor.bias"
    for value in (torch.zeros(1).to_sparse(), torch.zeros(1, dtype=torch.complex64), torch.zeros(1, device="meta")):
        torch.save({"model": {**state, name: value}, "settings": settings}, file)
        assert "plain array" in refusal(file)
    for odd in ({"position": 3}, {"position": {}}, {"versions": {1: {2, 3}}}):
        torch.save({"model": state, "settings": settings, **odd}, file)
        assert load_atom_net(file).config == SMALL
    safetensors.torch.save_file({"weight": torch.zeros(3)}, tmp_path / "a.safetensors", {"config": "[" * 10**5})
    assert "no JSON" in refusal(tmp_path / "a.safetensors")


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_a_pipe_in_place_of_a_network_is_refused(tmp_path, ending):
    os.mkfifo(tmp_path / f"a.{ending}")
    refusal(tmp_path / f"a.{ending}")
