"""UTKFace: faces with the person's age, from the published folder or in CORAL's split.

    root/                                              (or one of the folders below)
        36_0_1_20170117163203851.jpg.chip.jpg          [age]_[gender]_[race]_[date&time].jpg.chip.jpg
        ...
        utk_train.csv, utk_test.csv                    CORAL's split: columns '', 'file', 'age'

Images may also lie in root/images, root/UTKFace, in root/crop_part1 to crop_part3, or in root/part1 to part3, the
uncropped photographs; the first of these that is there is read, also inside root/utkface_aligned_cropped.

The split (Cao, Mirjalili, Raschka) has the 16,434 images of ages 21 to 60, 13,147 for training and 3,287 for testing.
Its column 'age' counts from 21; **labels here are years**. The paper trains on 11,503 of the 13,147 and validates on
1,644, but did not publish which: here a seed decides. 84 images of the test part also occur, byte by byte, in the
training part: report results with and without them (`test.without_duplicates_of(trainval)`).

Some published names are malformed; such images of a folder are skipped and listed as problems. The split names three of
them (one without a race, one with a blank and one without the dot before 'jpg'); its column has their age.
"""

from __future__ import annotations

import re
from pathlib import Path

from ltr.dataset.base import DatasetError
from ltr.dataset.labelled import LabelledImages, folder_of, list_files, read_table, whole_number

FIRST_AGE = 21
"""Years of age 0 in CORAL's split."""
LAST_AGE = 60

_NAME = re.compile(r"(\d{1,3})_[01]_[0-4]_\d+\.jpg(\.chip\.jpg)?")
_FOLDERS = (("images",), ("UTKFace",), ("crop_part1", "crop_part2", "crop_part3"), ("part1", "part2", "part3"))
_OLDEST = 120
_VAL_SHARE = 1644 / 13147


def _folders(root: str | Path) -> list[Path]:
    """The folders of the images."""
    base = folder_of(root, ("utkface_aligned_cropped",))
    for names in _FOLDERS:
        found = [base / name for name in names if (base / name).is_dir()]
        if found:
            return found
    return [base]


def read_utkface(root: str | Path) -> LabelledImages:
    """Reads all images of a folder, ordered by name, each with the age (years) in its name.

    Images whose name is malformed or has an age over 120 are skipped and listed as problems.

    Raises:
        DatasetError: if the folder is missing or has no image with a well-formed name.
    """
    files, ages, problems = [], [], []
    for path in [path for folder in _folders(root) for path in list_files(folder, r"(?i)[^.].*\.jpe?g")]:
        match = _NAME.fullmatch(path.name)
        if not match:
            problems.append(f"{path} is skipped: its name is not [age]_[gender]_[race]_[date].jpg.chip.jpg")
        elif int(match[1]) > _OLDEST:
            problems.append(f"{path} is skipped: nobody is {int(match[1])} years old")
        else:
            files.append(path)
            ages.append([int(match[1])])
    return LabelledImages(f"UTKFace in {root}", files, ages, ("age",), problems=problems)


def read_utkface_split(root: str | Path, part: str, seed: int = 0) -> LabelledImages:
    """Reads a part of CORAL's split, with ages in years.

    Args:
        root: folder of utk_train.csv and utk_test.csv.
        part: 'test'; 'trainval', all of utk_train.csv; 'train' or 'val', seven eighths and an eighth of it.
        seed: decides the split into 'train' and 'val'.

    Raises:
        DatasetError: if a file is missing or malformed, an image is missing or named twice, or an age is not within 0
            to 39 or differs from the age in the image's name.
    """
    if part not in ("train", "val", "trainval", "test"):
        raise ValueError(f"part must be 'train', 'val', 'trainval' or 'test', not {part!r}")
    folders = _folders(root)
    table = Path(root) / ("utk_test.csv" if part == "test" else "utk_train.csv")
    present = {path.name: path for folder in reversed(folders) for path in list_files(folder, ".+")}
    files, ages = [], []
    for number, (_, file, text) in read_table(table, "utkface", ("", "file", "age"), unique="file"):
        where = f"{table}, line {number}"
        # the age is checked against the name: a table in years would silently be 21 years off
        years = FIRST_AGE + whole_number(text, 0, LAST_AGE - FIRST_AGE, f"an age, years minus {FIRST_AGE},", where)
        named = re.match(r"(\d{1,3})_", file)
        if named and int(named[1]) != years:
            raise DatasetError(f"{where}: age {text} means {years} years, but {file} says {named[1]}")
        if file not in present:
            raise DatasetError(f"{where}: the image {folders[0] / file} does not exist")
        files.append(present[file])
        ages.append([years])
    images = LabelledImages(f"UTKFace {part}", files, ages, ("age",))
    if part in ("train", "val"):
        images = images.split(round(len(images) * _VAL_SHARE), seed)[part == "val"]
    return images
