"""Photographs that installed packages carry: textures for generated data, without a download and without a copy here.

All come with scikit-image or matplotlib, which the project needs anyway; their wheels hold the files. The two groups
share no photograph, so training on generated sequences sees nothing of the generated benchmark.

=============  ==================  =========================================  ======================================
name           carried by          what                                       licence, author
=============  ==================  =========================================  ======================================
for the benchmark
astronaut      skimage.data        Eileen Collins, portrait                   public domain, NASA
brick          skimage.data        brick pavement (grey)                      CC0, CC0Textures "Bricks25"
chelsea        skimage.data        a cat                                      CC0, Stefan van der Walt
coffee         skimage.data        cup of coffee on a wooden table            CC0, Rachel Michetti
coins          skimage.data        Greek coins from Pompeii (grey)            no known restriction, Brooklyn Museum
gravel         skimage.data        gravel (grey)                              CC0, CC0Textures "Gravel04"
motorcycle     skimage.data        motorcycle in a garage (left view)         Middlebury stereo 2014, Scharstein et al.
for training
camera         skimage.data        man with a film camera in a park (grey)    CC0, Lav Varshney
grass          skimage.data        grass (grey)                               CC0, linolafett
hopper         matplotlib.cbook    Grace Hopper, portrait                     public domain, US Navy
retina         skimage.data        fundus of an eye (its middle)              CC0, Mikael Häggström
rocket         skimage.data        rocket at dusk                             public domain, SpaceX
tissue         skimage.data        stained tissue (immunohistochemistry)      no known restriction, CMMI
=============  ==================  =========================================  ======================================

The Middlebury data sets are published for research with a request to cite (D. Scharstein et al., High-resolution stereo
datasets with subpixel-accurate ground truth, GCPR 2014); the photograph stays in scikit-image's wheel.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from ltr.common.errors import UserError
from ltr.common.images import read_image

BENCHMARK_PHOTOGRAPHS = ("astronaut", "brick", "chelsea", "coffee", "coins", "gravel", "motorcycle")
TRAINING_PHOTOGRAPHS = ("camera", "grass", "hopper", "retina", "rocket", "tissue")

_SKIMAGE_NAMES = {"tissue": "immunohistochemistry"}
_LONGEST_SIDE = 1024  # several times what a scene shows; keeps them small in memory when the user's are large
_SUFFIXES = (".jpg", ".jpeg", ".png")


def load_photograph(photo: str | Path) -> np.ndarray:
    """One photograph.

    Args:
        photo: a name of the table above (str), or an image file (Path).

    Returns:
        uint8 (H, W, 3) RGB; a grey photograph has three equal channels. The longer side is 1024 pixels at most.

    Raises:
        UserError: if the package that should carry it does not.
        ImageReadError: if the file is missing or damaged.
    """
    image = read_image(photo) if isinstance(photo, Path) else _load_packaged(photo)
    reduction = _LONGEST_SIDE / max(image.shape[:2])
    if reduction < 1:
        image = cv2.resize(image, None, fx=reduction, fy=reduction, interpolation=cv2.INTER_AREA)
    return image


def _load_packaged(name: str) -> np.ndarray:
    if name not in BENCHMARK_PHOTOGRAPHS + TRAINING_PHOTOGRAPHS:
        raise ValueError(f"no photograph {name!r}; there are {', '.join(BENCHMARK_PHOTOGRAPHS + TRAINING_PHOTOGRAPHS)}")
    if name == "hopper":
        from matplotlib.cbook import get_sample_data

        return read_image(Path(get_sample_data("grace_hopper.jpg", asfileobj=False)))

    try:
        from skimage import data
    except ImportError:
        raise UserError(
            "generated sequences take their photographs from scikit-image, which is not installed: "
            "pip install scikit-image"
        ) from None
    try:
        image = data.stereo_motorcycle()[0] if name == "motorcycle" else getattr(data, _SKIMAGE_NAMES.get(name, name))()
    except Exception as error:  # skimage downloads what a distribution leaves out, which can fail in many ways
        raise UserError(
            f"the installed scikit-image does not carry its photograph {name!r} ({error}); "
            "install its wheel: pip install --force-reinstall scikit-image"
        ) from error
    image = np.asarray(image, np.uint8)
    if name == "retina":  # the photograph is a disc on black
        image = image[240:1170, 240:1170]
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else np.ascontiguousarray(image)


def find_photographs(folder: str | Path) -> tuple[Path, ...]:
    """All JPEG and PNG files in a folder and the folders in it, sorted by path.

    Raises:
        UserError: if it is not a folder, or holds no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; 'photos' must be a folder of JPEG or PNG photographs")
    found = sorted(
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(_SUFFIXES) and not name.startswith(".")
    )
    if not found:
        raise UserError(f"{folder} holds no JPEG or PNG image; 'photos' must be a folder of photographs")
    return tuple(found)
