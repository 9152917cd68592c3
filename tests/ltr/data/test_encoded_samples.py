"""Cached features are those of the samples, every image once in an epoch, and computed once."""

import pytest
import torch

from ltr.common.errors import UserError
from ltr.data import encoded_samples
from ltr.data.encoded_samples import EncodedSamples
from ltr.data.loading import batches
from ltr.data.regression_samples import AugmentSettings, RegressionSamples
from ltr.dataset import read_utkface_split
from ltr.models.regression.image_encoder import EncoderSettings, ImageEncoder
from tests.helpers.faces import make_utkface

CPU = torch.device("cpu")


@pytest.fixture
def images(tmp_path):
    return read_utkface_split(make_utkface(tmp_path / "faces", 12, 5), "trainval")


@pytest.fixture
def encoder():
    return ImageEncoder(EncoderSettings("efficientnet_lite0", frozen_copies=2))


def versions(images, train=True, copies=2):
    return RegressionSamples(images, AugmentSettings(size=32), copies * len(images), 0, train)


def test_evaluation_has_each_image_in_its_place(images, encoder, tmp_path):
    kept = EncodedSamples(versions(images, False, 1), 1, encoder, CPU, tmp_path)
    assert len(kept) == 12
    for k, sample in enumerate(kept):
        original = kept_from(images, k)
        with torch.no_grad():
            torch.testing.assert_close(sample["x"], encoder(original["x"][None])[0], rtol=1e-3, atol=1e-4)
        assert sample["label"].tolist() == images.labels[k].tolist()


def kept_from(images, k):
    return versions(images, False, 1)[k]


def test_training_goes_through_images_and_versions(images, encoder, tmp_path):
    source = versions(images)
    with torch.no_grad():
        features = [encoder(source[k]["x"][None])[0] for k in range(24)]
    kept = EncodedSamples(source, 2, encoder, CPU, tmp_path, seed=3, length=60)

    def row(k):
        distances = torch.stack([(kept[k]["x"] - f).norm() for f in features])
        assert distances.min() < 1e-2
        return int(distances.argmin())

    epochs = [[row(12 * e + k) for k in range(12)] for e in range(4)]
    assert [sorted(e) for e in epochs] == [list(range(12)), list(range(12, 24))] * 2  # every image, one version
    assert epochs[0] != sorted(epochs[0]) and epochs[0] != epochs[2]  # in an order that is new
    assert len(kept) == 60 and torch.equal(kept[59]["x"], kept[59]["x"])
    with pytest.raises(IndexError):
        kept[60]
    other = EncodedSamples(source, 2, encoder, CPU, tmp_path, seed=4, length=60)
    assert not all(torch.equal(kept[k]["x"], other[k]["x"]) for k in range(12))


def test_computed_once_for_the_same_and_anew_for_anything_else(images, encoder, tmp_path, monkeypatch):
    made = []
    compute = encoded_samples._compute
    monkeypatch.setattr(encoded_samples, "_compute", lambda *a: (made.append(1), compute(*a))[1])
    for _ in range(2):
        EncodedSamples(versions(images), 2, encoder, CPU, tmp_path)
    assert len(made) == 1
    EncodedSamples(versions(images, copies=1), 1, encoder, CPU, tmp_path)
    EncodedSamples(versions(images.subset(range(11))), 2, encoder, CPU, tmp_path)
    with torch.no_grad():
        encoder.net.bn1.bias += 1
    EncodedSamples(versions(images), 2, encoder, CPU, tmp_path)
    assert len(made) == 4


@pytest.mark.parametrize("workers", [0, 1])
def test_a_missing_image_is_one_sentence_and_leaves_no_file(images, encoder, tmp_path, workers):
    images.files[5].unlink()
    with pytest.raises(UserError, match=images.files[5].name) as caught:
        EncodedSamples(versions(images.subset(range(1, 12))), 2, encoder, CPU, tmp_path / "cache", workers=workers)
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "cache").glob("*") if path.is_dir()]


def test_ctrl_c_loses_no_batch(images, encoder, tmp_path, monkeypatch):
    """24 images in batches of 16: after the first, the second is all that is left."""
    seen, stop = [], True

    def interrupted(samples, size, workers):
        for batch in batches(samples, size, workers):
            if seen and stop:
                raise KeyboardInterrupt
            seen.append(len(batch["x"]))
            yield batch

    whole = EncodedSamples(versions(images), 2, encoder, CPU, tmp_path / "whole")
    monkeypatch.setattr(encoded_samples, "batches", interrupted)
    with pytest.raises(KeyboardInterrupt):
        EncodedSamples(versions(images), 2, encoder, CPU, tmp_path / "cache")
    stop = False
    kept = EncodedSamples(versions(images), 2, encoder, CPU, tmp_path / "cache")
    assert seen == [16, 8]
    assert torch.equal(kept.features, whole.features) and torch.equal(kept.labels, whole.labels)


def test_a_damaged_folder_is_named(images, encoder, tmp_path):
    EncodedSamples(versions(images), 2, encoder, CPU, tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob("*/features.npy")
    for length in (1000, 0):
        file.write_bytes(file.read_bytes()[:length])
        with pytest.raises(UserError, match=r"features\.npy is damaged.*delete"):
            EncodedSamples(versions(images), 2, encoder, CPU, tmp_path / "cache")
    file.unlink()
    with pytest.raises(UserError, match=r"lacks its features\.npy; delete that folder"):
        EncodedSamples(versions(images), 2, encoder, CPU, tmp_path / "cache")


def test_folder_that_cannot_be_made(images, encoder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written.*--workspace"):
        EncodedSamples(versions(images), 2, encoder, CPU, tmp_path / "file" / "cache")
