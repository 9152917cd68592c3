"""The cache of backbone features: what it holds, when it is used again, and what is left when it cannot be made."""

import errno
import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from ltr.common.errors import UserError
from ltr.data import disk_cache, feature_cache
from ltr.data.feature_cache import CachedFeatures
from ltr.data.sampling import BoxPairs, CropSettings
from ltr.models.backbone import Backbone
from tests.helpers.painted import Painted

NUMBER = 21  # more than a batch, and no multiple of it


class CountingBackbone(Backbone):
    """Two convolutions; counts the images that it, or a copy of it, has seen."""

    seen = 0

    def __init__(self, name: str = "counting") -> None:
        super().__init__(
            name, {"stride8": 4, "stride16": 6}, {"stride8": 0.0, "stride16": 0.0}, (0.5,) * 3, (0.25,) * 3
        )
        self.first, self.norm = nn.Conv2d(3, 4, 8, stride=8), nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 6, 2, stride=2)
        nn.init.normal_(self.norm.running_mean)

    def extract(self, normalised):
        CountingBackbone.seen += len(normalised)
        stride8 = self.norm(self.first(normalised))
        return {"stride8": stride8, "stride16": self.second(stride8)}


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    CountingBackbone.seen = 0
    return CountingBackbone().eval()


def make_pairs(seed: int = 0) -> BoxPairs:
    return BoxPairs([Painted([6, 6, 1])], [1.0], 10**6, crop=CropSettings(flip=0.5), seed=seed)


def make(folder: Path, backbone, pairs=None, number=NUMBER, key="key", workers=0) -> CachedFeatures:
    return CachedFeatures(pairs or make_pairs(), number, backbone, folder, key, 1000, workers)


def assert_right(cache: CachedFeatures, backbone, pairs=None) -> None:
    """Every item is what the backbone gives for that pair."""
    pairs = pairs or make_pairs()
    for k in range(cache.num_pairs):
        item, pair = cache[k], pairs[k]
        for which in ("reference", "test"):
            assert torch.equal(item[f"{which}_box"], pair[f"{which}_box"])
            with torch.inference_mode():
                features = backbone(pair[f"{which}_image"][None].float() / 255)
            for level, expected in features.items():
                found = item[f"{which}_{level}"]
                assert found.dtype == torch.float16
                scale = expected.abs().max().item()
                torch.testing.assert_close(found.float(), expected[0], rtol=0.02, atol=0.02 * scale)


@pytest.mark.parametrize("workers", [0, 2])
def test_holds_the_features_of_each_pair(tmp_path, backbone, workers):
    cache = make(tmp_path, backbone, workers=workers)
    assert_right(cache, backbone)
    assert len(cache) == 1000
    again = cache[NUMBER + 3]
    assert all(torch.equal(value, cache[3][name]) for name, value in again.items())
    assert not any(m.training for m in backbone.modules()) and isinstance(backbone.norm, nn.BatchNorm2d)


def test_is_computed_once(tmp_path, backbone):
    make(tmp_path, backbone)
    assert CountingBackbone.seen == 2 * NUMBER
    second = make(tmp_path, backbone)
    assert CountingBackbone.seen == 2 * NUMBER
    assert_right(second, backbone)


def test_whatever_differs_has_a_cache_of_its_own(tmp_path, backbone):
    other_weights = CountingBackbone().eval()
    caches = [
        make(tmp_path, backbone),
        make(tmp_path, backbone, key="another"),
        make(tmp_path, backbone, number=NUMBER - 1),
        make(tmp_path, other_weights),
        make(tmp_path, backbone, pairs=make_pairs(seed=1)),  # as another image folder under the same settings
    ]
    assert len({cache.folder for cache in caches}) == len(caches)
    assert_right(caches[0], backbone)
    assert_right(caches[3], other_weights)
    assert_right(caches[4], backbone, make_pairs(seed=1))


class Killed(BaseException):
    pass


def test_interrupted_computation_goes_on(tmp_path, backbone, monkeypatch):
    class Interrupted(CountingBackbone):
        def extract(self, normalised):
            if CountingBackbone.seen >= 2 * 16:
                raise Killed
            return super().extract(normalised)

    monkeypatch.setattr(backbone, "__class__", Interrupted)
    with pytest.raises(Killed):
        make(tmp_path, backbone)
    monkeypatch.undo()
    CountingBackbone.seen = 0
    cache = make(tmp_path, backbone)
    assert CountingBackbone.seen == 2 * (NUMBER - 16)  # a batch was there
    assert_right(cache, backbone)
    assert [f for f in tmp_path.iterdir() if f.is_dir()] == [cache.folder]


def test_a_pickled_cache_reopens_its_files(tmp_path, backbone):
    cache = make(tmp_path, backbone)
    text = pickle.dumps(cache)
    assert len(text) < 2000
    copy = pickle.loads(text)
    assert all(torch.equal(value, cache[2][name]) for name, value in copy[2].items())
    (batch,) = DataLoader(cache, batch_sampler=[[1, 4]], num_workers=1, multiprocessing_context="fork")
    assert torch.equal(batch["test_stride8"][1], cache[4]["test_stride8"])


def test_a_folder_that_cannot_be_written(tmp_path, backbone):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="feature cache .*file.* cannot be written.*--workspace"):
        make(tmp_path / "file", backbone)


def test_a_full_disk(tmp_path, backbone, monkeypatch):
    def full(descriptor, offset, length):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(disk_cache.os, "posix_fallocate", full)
    with pytest.raises(UserError, match="No space left on device.*--data.feature_cache"):
        make(tmp_path, backbone)
    assert not [f for f in tmp_path.iterdir() if f.is_dir()]
    monkeypatch.undo()
    assert_right(make(tmp_path, backbone), backbone)


class OneUnreadable(Painted):
    """The image of one sequence cannot be read."""

    def frames(self, index, ids, reductions=None, parts=None):
        if index == 1:
            raise UserError("painted/1.jpg is not an image")
        return super().frames(index, ids, reductions, parts)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_named_without_a_traceback(tmp_path, backbone, monkeypatch, workers):
    monkeypatch.setattr(feature_cache, "_PROBES", 1)  # the first pair only, which is readable
    pairs = BoxPairs([OneUnreadable([6, 6, 1])], [1.0], 10**6)
    pairs.seed = next(s for s in range(100) if readable_first(pairs, s))
    with pytest.raises(UserError) as caught:
        make(tmp_path, backbone, pairs=pairs, workers=workers)
    assert str(caught.value) == "painted/1.jpg is not an image"


def readable_first(pairs: BoxPairs, seed: int) -> bool:
    pairs.seed = seed
    try:
        pairs[0]
    except UserError:
        return False
    return True


@pytest.mark.parametrize("number", [0, -3])
def test_no_pairs(tmp_path, backbone, number):
    with pytest.raises(ValueError):
        make(tmp_path, backbone, number=number)
