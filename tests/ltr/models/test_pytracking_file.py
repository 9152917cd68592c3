"""Checkpoints of PyTracking: written by pickling classes of its names, which exist only while a test writes."""

import io
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ltr.common.errors import UserError
from ltr.models.bbreg import RESNET18, AtomNet, load_atom_net, trained_by_pytracking
from ltr.models.bbreg.export import main as export
from ltr.models.weights_file import read_pickle
from tests.helpers.hostile_pickle import Command

CLASSES = {
    "settings": ("Settings",),
    "local": ("EnvironmentSettings",),
    "model_constructor": ("NetConstructor",),
    "stats": ("AverageMeter", "StatValue"),
}
NAMES = pytest.mark.parametrize("package", ["ltr.admin", "dlframework.common.utils"])
FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "as torch 1.0 wrote"])


@pytest.fixture(scope="module")
def resnet() -> AtomNet:
    torch.manual_seed(5)
    return AtomNet(RESNET18, imagenet=False).eval()


@pytest.fixture
def content(resnet, monkeypatch) -> Callable[..., dict]:
    """Makes the dictionary that PyTracking's trainer saves, of classes in the given package."""

    def make(package: str, **changes: object) -> dict:
        classes = {}
        parents = package.split(".")
        for depth in range(1, len(parents) + 1):
            parent = ".".join(parents[:depth])
            if parent != "ltr":
                monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
        for part, names in CLASSES.items():
            module = types.ModuleType(f"{package}.{part}")
            monkeypatch.setitem(sys.modules, module.__name__, module)
            for name in names:
                classes[name] = type(name, (), {"__module__": module.__name__})
                setattr(module, name, classes[name])

        def made(name: str, **state: object) -> object:
            instance = classes[name]()
            instance.__dict__.update(state)
            return instance

        weights = OrderedDict((k, v) for k, v in resnet.state_dict().items() if not k.endswith("num_batches_tracked"))
        for name in ("layer4.0.conv1.weight", "fc.bias"):  # PyTracking keeps the whole ResNet
            weights[f"feature_extractor.{name}"] = torch.zeros(2)
        weights._metadata = OrderedDict(version=1)
        module = f"{package.partition('.')[0]}.ltr.models.bbreg.atom".removeprefix("ltr.")
        stats = OrderedDict(train={"Loss/total": made("AverageMeter", val=0.1, history=[0.2], has_new_data=True)})
        stats["val"] = {"LearningRate/group0": made("StatValue", val=1e-3, history=[])}
        return {
            "epoch": 50,
            "actor_type": "AtomActor",
            "net_type": "ATOMnet",
            "net": weights,
            "net_info": None,
            "constructor": made("NetConstructor", fun_name="atom_resnet18", fun_module=module, args=(), kwds={}),
            "optimizer": {"state": {}, "param_groups": [{"lr": 1e-3}]},
            "stats": stats,
            "settings": made("Settings", env=made("EnvironmentSettings", workspace_dir="/home/someone"), use_gpu=True),
        } | changes

    return make


def save(content: object, file: Path, zipped: bool, monkeypatch) -> None:
    """Writes the file, and takes the classes away again."""
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    monkeypatch.undo()
    assert not {"ltr.admin.settings", "dlframework.common.utils.settings"} & sys.modules.keys()


def assert_loads(file: Path, resnet: AtomNet) -> None:
    loaded = load_atom_net(file, backbone="resnet18")
    assert loaded.config == RESNET18
    state, expected = loaded.state_dict(), resnet.state_dict()
    assert state.keys() == expected.keys() and all(torch.equal(state[name], expected[name]) for name in state)


@NAMES
@FORMATS
def test_a_checkpoint_loads_and_is_known(content, resnet, tmp_path, monkeypatch, package, zipped):
    file = tmp_path / "ATOMnet_ep0050.pth.tar"
    save(content(package), file, zipped, monkeypatch)
    assert_loads(file, resnet)
    assert trained_by_pytracking(file)
    for value in (v for k, v in read_stand_ins(file).items() if k in ("settings", "constructor")):
        assert not vars(value)  # nothing of them is kept


def read_stand_ins(file: Path) -> dict:
    from ltr.models.bbreg.pytracking_file import STAND_INS

    return read_pickle(file, STAND_INS)


def test_a_checkpoint_of_a_gpu_loads_without_one(content, resnet, tmp_path, monkeypatch):
    """The published file was: torch 1.0 wrote the GPU's storages by their class, and cuda:0 for their place."""
    file = tmp_path / "atom_default.pth"
    save(content("dlframework.common.utils"), file, False, monkeypatch)
    data = file.read_bytes()
    for name in (b"Float", b"Long"):
        data = data.replace(b"ctorch\n%sStorage\n" % name, b"ctorch.cuda\n%sStorage\n" % name)
    data = data.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
    assert b"cuda:0" in data and b"ctorch.cuda\nFloatStorage" in data
    file.write_bytes(data)
    assert_loads(file, resnet)


def test_an_exported_head_is_still_known(content, tmp_path, monkeypatch):
    save(content("ltr.admin"), tmp_path / "atom.pth", True, monkeypatch)
    assert export([str(tmp_path / "atom.pth"), str(tmp_path / "atom.safetensors")]) == 0
    assert trained_by_pytracking(tmp_path / "atom.safetensors")


def test_weights_alone(content, resnet, tmp_path, monkeypatch):
    file = tmp_path / "atom.pth"
    save(content("ltr.admin")["net"], file, True, monkeypatch)
    assert_loads(file, resnet)
    assert trained_by_pytracking(file)  # by the layers that only PyTracking keeps
    torch.save(resnet.state_dict(), file)
    assert_loads(file, resnet)
    assert not trained_by_pytracking(file)


@FORMATS
def test_dimp_is_refused_by_name(content, tmp_path, monkeypatch, zipped):
    """Its box head has ATOM's names and shapes."""
    file = tmp_path / "dimp18.pth"
    dimp = content("ltr.admin", net_type="DiMPnet", actor_type="DiMPActor")
    save(dimp, file, zipped, monkeypatch)
    for wanted in (r"its net_type is 'DiMPnet', not 'ATOMnet'", r"it has parameters classifier\.\*, as DiMP has"):
        with pytest.raises(UserError, match=wanted) as caught:
            load_atom_net(file)
        assert str(file) in str(caught.value) and "\n" not in str(caught.value)
        torch.save({**dimp["net"], "classifier.filter_initializer.filter_conv.weight": torch.zeros(2)}, file)


@NAMES
@FORMATS
def test_what_is_not_of_the_list_is_refused_by_name(content, tmp_path, monkeypatch, package, zipped):
    """Other names in the same modules, and a command in the place of each class."""
    file, marker = tmp_path / "evil.pth", tmp_path / "ran"
    whole = content(package)
    torch.save({**whole, "stats": Command(marker)}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"names \w+\.system, and anything but"):
        load_atom_net(file)
    for part, name in (("settings", "os"), ("loading", "torch_load_legacy"), ("stats", "AverageMeters")):
        module = sys.modules.get(f"{package}.{part}") or types.ModuleType(f"{package}.{part}")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        other = type(name, (), {"__module__": module.__name__})
        setattr(module, name, other)
        torch.save({**whole, "settings": other()}, file, _use_new_zipfile_serialization=zipped)
        with pytest.raises(UserError, match=rf"names {package}\.{part}\.{name}, and anything but"):
            load_atom_net(file)
    assert not marker.exists()


@NAMES
def test_a_class_of_the_list_is_not_called(tmp_path, package):
    """A pickle may call what it names with arguments of its own."""
    stream = io.BytesIO()
    call = pickle.PROTO + b"\x02" + f"c{package}.settings\nSettings\n".encode() + b"X\x02\x00\x00\x00id\x85R."
    for header in (torch.serialization.MAGIC_NUMBER, torch.serialization.PROTOCOL_VERSION, {}):
        pickle.dump(header, stream, protocol=2)
    (tmp_path / "call.pth").write_bytes(stream.getvalue() + call + pickle.dumps([], protocol=2))
    with pytest.raises(UserError, match=r"call\.pth is damaged or no file of PyTorch"):
        load_atom_net(tmp_path / "call.pth")
