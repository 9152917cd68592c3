"""What a program may hand to a tracker as an image: converted rightly, or refused in a sentence."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ltr.common.errors import UserError
from pytracking.tracker.given_image import check_image
from tests.helpers.pictures import colours_grey_and_black, with_black_ink

IMAGE = np.zeros((40, 60, 3), np.uint8)


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1)])
def test_grey_images_get_three_equal_channels(shape):
    grey = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    colour = check_image(grey)
    assert colour.shape == (40, 60, 3) and colour.dtype == np.uint8 and colour.flags["C_CONTIGUOUS"]
    assert all(np.array_equal(colour[..., c], grey.reshape(40, 60)) for c in range(3))


def test_alpha_is_dropped_and_colours_stay():
    rgba = np.random.default_rng(0).integers(0, 256, (40, 60, 4), dtype=np.uint8)
    np.testing.assert_array_equal(check_image(rgba), rgba[..., :3])
    np.testing.assert_array_equal(check_image(rgba[..., 2::-1]), rgba[..., 2::-1])


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return colours_grey_and_black()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBX", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr", "HSV"])
def test_pictures_of_pillow_are_what_it_shows(picture, mode):
    source = {"P": lambda: picture.quantize(32), "PA": lambda: picture.quantize(32).convert("PA")}
    given = source.get(mode, lambda: picture.convert(mode))()
    assert given.mode == mode
    checked = check_image(given)
    assert checked.shape == (40, 64, 3) and checked.dtype == np.uint8 and checked.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(checked, np.asarray(given.convert("RGB")))
    loss = np.abs(checked.astype(int) - np.asarray(picture)).mean()
    assert loss < 15 or mode in ("L", "LA", "1")  # and it shows the picture


def test_black_ink_is_not_dropped(picture):
    difference = check_image(with_black_ink(picture)).astype(int) - np.asarray(picture)
    assert np.abs(difference).max() <= 1


def test_transparency_is_dropped_and_not_blended(picture, tmp_path):
    picture.quantize(32).save(tmp_path / "a.png", transparency=3)
    clear = picture.copy()
    clear.putalpha(0)
    np.testing.assert_array_equal(check_image(clear), np.asarray(picture))
    np.testing.assert_array_equal(check_image(Image.open(tmp_path / "a.png")), check_image(picture.quantize(32)))


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_16_bits_of_pillow_are_scaled(picture, order):
    grey = np.asarray(picture.convert("L"))
    deep = Image.frombytes(
        "I;16" if order[0] == "<" else "I;16B", (64, 40), (grey.astype(np.uint16) << 8).astype(order).tobytes()
    )
    np.testing.assert_array_equal(check_image(deep), np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pictures_without_a_fixed_white_are_refused(picture, mode):
    with pytest.raises(UserError, match=f"mode {mode} does not say which value is white.*convert"):
        check_image(picture.convert("L").convert(mode))


def test_a_picture_whose_file_breaks_off(picture, tmp_path):
    picture.save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:-60])
    with pytest.raises(UserError, match="mode RGB cannot be used") as error:
        check_image(Image.open(tmp_path / "b.png"))
    assert "\n" not in str(error.value)


class Kept(np.ndarray):
    """An array of another class."""


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


FORMS = {
    "turned in memory": lambda a: np.asfortranarray(a),
    "mirrored": lambda a: a[:, ::-1].copy()[:, ::-1],
    "BGR turned": lambda a: a[..., ::-1].copy()[..., ::-1],
    "a part": lambda a: np.pad(a, ((3, 2), (4, 5), (0, 1)))[3:-2, 4:-5, :-1],
    "read-only": read_only,
    "subclass": lambda a: a.view(Kept),
    "tensor": torch.from_numpy,
    "tensor turned": lambda a: torch.from_numpy(a.transpose(2, 0, 1).copy()).permute(1, 2, 0),
    "buffer": lambda a: memoryview(a),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_arrays_and_tensors_however_they_lie_in_memory(picture, form):
    pixels = np.asarray(picture)
    checked = check_image(form(pixels.copy()))
    np.testing.assert_array_equal(checked, pixels)
    assert checked.flags["C_CONTIGUOUS"] and type(checked) is np.ndarray


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_tensor_on_a_gpu(picture):
    np.testing.assert_array_equal(check_image(torch.from_numpy(np.array(picture)).cuda()), np.asarray(picture))


REFUSED = {
    "floats": (IMAGE / 255, "float64 .*if white is 1, take 255"),
    "uint16": (IMAGE.astype(np.uint16), "upper eight"),
    "int64": (IMAGE.astype(np.int64), "if its values are 0..255"),
    "bool": (IMAGE > 0, "not bool"),
    "1-D": (IMAGE[0, 0], r"not uint8 \(3,\)$"),
    "4-D": (IMAGE[None], r"not uint8 \(1, 40, 60, 3\)$"),
    "two channels": (IMAGE[..., :2], r"not uint8 \(40, 60, 2\)$"),
    "no pixels": (IMAGE[:0], r"not uint8 \(0, 60, 3\)$"),
    "channels first": (IMAGE.transpose(2, 0, 1), r"channels last: image\.transpose"),
    "float tensor": (torch.zeros(40, 60, 3, dtype=torch.bfloat16), r"not torch\.bfloat16 .*if white is 1"),
    "16-bit tensor": (torch.zeros(40, 60, dtype=torch.uint16), r"not torch\.uint16 .*upper eight"),
    "tensor, channels first": (torch.zeros(3, 40, 60, dtype=torch.uint8), r"image\.permute\(1, 2, 0\) of a tensor"),
    "nothing": (None, r"not None: ltr\.common\.images\.read_image.*cv2\.imread returns None"),
    "file name": ("frame.jpg", r"not 'frame\.jpg': ltr\.common\.images\.read_image"),
    "path": (Path("frame.jpg"), r"read_image reads a file"),
    "words": (["a", "b"], r"not <U1 \(2,\)$"),
}


@pytest.mark.parametrize("image, said", REFUSED.values(), ids=REFUSED)
def test_other_images_are_refused(image, said):
    with pytest.raises(UserError, match=r"must be uint8 RGB of shape \(H, W, 3\)") as error:
        check_image(image)
    assert error.match(said) and "\n" not in str(error.value)


class Elsewhere:
    """As the arrays of libraries whose pixels lie on a GPU."""

    def __array__(self, *arguments, **keywords):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.\nUse .get()")


@pytest.mark.parametrize(
    "image",
    [torch.zeros(40, 60, 3, dtype=torch.uint8, device="meta"), Elsewhere(), [[1], [2, 3]]],
    ids=["meta", "elsewhere", "ragged"],
)
def test_what_gives_no_pixels_is_refused(image):
    with pytest.raises(UserError, match="cannot be read as an array: ") as error:
        check_image(image)
    assert "\n" not in str(error.value)
