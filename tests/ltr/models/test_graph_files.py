"""The exported graphs compute what the network computes, on ONNX Runtime and as programs, at any batch and boxes."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch

from ebm_common import elementwise_iou, rect_to_rel
from ltr.data.sampling import PATCH
from ltr.dataset.generated import benchmark_scene
from ltr.models.bbreg import AtomNet, BoxFeatures, graph_files, load_atom_net
from ltr.models.bbreg.export import main as export
from ltr.models.bbreg.graphs import IMAGE, make_graphs

pytestmark = pytest.mark.slow  # exporters take their time, whatever the network's size
ROOT = Path(__file__).resolve().parents[3]
HEAD = ROOT / "pytracking/networks/ebm_efficientnet_lite0.safetensors"


@pytest.fixture(scope="module")
def net() -> AtomNet:
    return load_atom_net(HEAD)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All graphs of the shipped head in both formats, by the command."""
    for package in graph_files.PACKAGES:
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("graphs") / "new"
    logging.getLogger("torch.__trace").propagate = False  # thousands of records, which pytest would keep
    assert export([str(HEAD), str(folder), "--onnx", "--pt2"]) == 0
    assert len(list(folder.iterdir())) == 8
    return folder


def of_network(net: AtomNet, batch: int, boxes: int):
    """The inputs and outputs of each graph, by the network itself, with autograd's gradient of f."""
    generator = torch.Generator().manual_seed(batch)
    images = torch.randint(0, 256, (batch, PATCH, PATCH, 3), dtype=torch.uint8, generator=generator)
    head, extractor = net.bb_regressor, net.feature_extractor
    classification = extractor.classification_layer()
    box = torch.tensor([[100.0, 120, 60, 50]]) + 20 * torch.rand(batch, 4, generator=generator)
    y = rect_to_rel(box, box[:, 2:])[:, None] + 0.2 * torch.randn(batch, boxes, 4, generator=generator)
    with torch.no_grad():
        levels = extractor(images.permute(0, 3, 1, 2) / 255)
        modulation = head.modulation(levels, box)
        maps = head.encode(modulation, levels, box[:, 2:])
    y.requires_grad_()
    f = head.energy(maps, y)
    (gradient,) = torch.autograd.grad(f.sum(), y)
    y = y.detach()
    modulations = {"modulation8": modulation.stride8, "modulation16": modulation.stride16}
    encoded = {"map8": maps.stride8, "map16": maps.stride16}
    features = {**levels, "classification": classification(levels["stride16"])}
    return {
        "backbone": ({"images": images}, features),
        "modulation": ({**levels, "box": box}, modulations),
        "encode": ({**levels, **modulations}, encoded),
        "energy": ({**encoded, "size": box[:, 2:], "y": y}, {"f": f.detach(), "gradient": gradient}),
    }


def assert_agrees(found, expected) -> None:
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=2e-5 * float(tensor.abs().max()), msg=name)


@pytest.mark.parametrize("name", ["backbone", "modulation", "encode", "energy"])
def test_files_compute_what_the_network_computes(net, folder, name):
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
    loaded = torch.export.load(folder / f"{name}.pt2")
    assert "ebm_regression" not in str(loaded.graph), "it has to run where this package is not installed"
    program = loaded.module()
    for batch, boxes in ((1, 1), (3, 10), (1, 512)):
        inputs, expected = of_network(net, batch, boxes)[name]
        found = session.run(list(expected), {key: value.numpy() for key, value in inputs.items()})
        assert_agrees(dict(zip(expected, map(torch.from_numpy, found), strict=True)), expected)
        assert_agrees(dict(zip(expected, program(**inputs), strict=True)), expected)
    assert [output.name for output in session.get_outputs()] == list(expected)


def test_boxes_that_cannot_be_pooled_have_no_gradient(net):
    """As in the network itself: infinite, not a number, empty, far outside."""
    energy = make_graphs(net, None)["energy"].module
    inputs, _ = of_network(net, 1, 6)["energy"]
    y = inputs["y"].clone()
    y[0, 0, 2], y[0, 1, 0], y[0, 2, 3], y[0, 3, 0], y[0, 4, 2] = torch.inf, torch.nan, -90.0, 900.0, 200.0
    features = BoxFeatures(inputs["map8"], inputs["map16"], inputs["size"])
    with torch.no_grad():
        f, gradient = energy(**{**inputs, "y": y})
    exact = y.clone().requires_grad_()
    value = net.bb_regressor.energy(features, exact)
    torch.testing.assert_close(f, value.detach(), rtol=1e-5, atol=1e-5)
    (slope,) = torch.autograd.grad(value.sum(), exact)
    torch.testing.assert_close(gradient[:, [2, 3, 5]], slope[:, [2, 3, 5]], rtol=1e-4, atol=1e-4)
    assert (gradient[0, 2] == 0).all() and gradient[0, 5].abs().min() > 0


def test_files_say_what_they_are(net, folder):
    import onnx

    for name in ("backbone", "energy"):
        model = onnx.load(folder / f"{name}.onnx")
        about = {entry.key: entry.value for entry in model.metadata_props}
        extra = dict.fromkeys(about, "")
        torch.export.load(folder / f"{name}.pt2", extra_files=extra)
        assert extra == about
        assert about["graph"] == model.graph.name == name and about["source"] == HEAD.name
        assert about["image_size"] == str(PATCH) and json.loads(about["strides"]) == {"stride8": 8, "stride16": 16}
        assert json.loads(about["mean"]) == pytest.approx([127 / 255] * 3)
        assert model.opset_import[0].version == graph_files.OPSET
    shapes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    }
    assert shapes["y"] == shapes["gradient"] == ["batch", "boxes", 4] and shapes["f"] == ["batch", "boxes"]
    assert shapes["map8"] == ["batch", 128, PATCH // 8, PATCH // 8]


def test_the_images_are_those_of_the_training():
    assert IMAGE == PATCH


def test_the_example_tracks_without_torch(folder, tmp_path):
    scene = benchmark_scene("rotation")
    truth = scene.boxes()[:12]
    (tmp_path / "img").mkdir()
    for k in range(len(truth)):
        assert cv2.imwrite(str(tmp_path / "img" / f"{k:04d}.png"), scene.render(k)[..., ::-1])
    code = "import runpy, sys; sys.modules['torch'] = None; del sys.argv[0]; "
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    example = ROOT / "examples" / "track_without_torch.py"
    arguments = [str(folder), "img", "--box", *map(str, truth[0])]
    command = [sys.executable, "-c", code, str(example), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    boxes = torch.tensor([[float(v) for v in line.split(",")] for line in done.stdout.splitlines()])
    overlaps = elementwise_iou(boxes, torch.from_numpy(truth).float())
    assert len(boxes) == len(truth) and overlaps.min() > 0.5 and overlaps.mean() > 0.75


def test_export_refuses_in_one_line(tmp_path, capsys, monkeypatch):
    def error_of(*arguments) -> str:
        with pytest.raises(SystemExit) as caught:
            export([str(a) for a in arguments])
        assert caught.value.code == 2
        return capsys.readouterr().err

    file = tmp_path / "net.pth"
    torch.save({"model": {"weight": torch.ones(2)}}, file)
    assert "is of another network" in error_of(file, tmp_path / "graphs", "--onnx")
    assert "there is no checkpoint" in error_of(tmp_path / "no.pth", tmp_path / "graphs", "--pt2")
    (tmp_path / "file").touch()
    message = error_of(HEAD, tmp_path / "file" / "graphs", "--pt2")
    assert "cannot be written" in message and message.count("\n") == 1
    assert "must be a folder" in error_of(HEAD, "graphs.onnx", "--onnx")
    monkeypatch.setattr(graph_files, "find_spec", lambda name: None)
    message = error_of(HEAD, tmp_path / "graphs", "--onnx")
    assert "pip install 'ebm-regression[onnx]'" in message and message.count("\n") == 1
    assert not (tmp_path / "graphs").exists()
