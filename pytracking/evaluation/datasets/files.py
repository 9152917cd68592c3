"""Reading what most benchmarks consist of: boxes as text, and folders of numbered images."""

import contextlib
import re
from pathlib import Path

import numpy as np

from ltr.common.errors import DatasetError
from ltr.common.files import read_text
from ltr.common.frame_order import IMAGE_SUFFIXES, FrameOrderError, find_images, order_frames


def read_boxes(file: Path) -> np.ndarray:
    """(N, 4) float64 from a text file with x, y, w, h on a line, separated by commas, tabs, blanks or semicolons.

    Line i belongs to frame i: an empty line before the last becomes four NaN, a frame without a target.

    Raises:
        DatasetError: if the file is missing or empty, a line is not four numbers, or the first is no box; names file
            and line.
    """
    boxes = read_numbers(file, slice(0, 4), exactly=4)
    if not np.isfinite(boxes[0]).all() or (boxes[0, 2:] <= 0).any():
        raise DatasetError(
            f"{file}, line 1: the first box must be finite, with a positive width and height, not {boxes[0].tolist()}; "
            "begin where the target is visible"
        )
    return boxes


def read_numbers(file: Path, columns: slice, exactly: int | None = None) -> np.ndarray:
    """(N, C) float64: some columns of a text file with numbers on a line, see :func:`read_boxes`.

    Args:
        columns: the C columns wanted.
        exactly: the number of columns that a line must have.

    Raises:
        DatasetError: if the file is missing or empty, or a line is malformed; names file and line.
    """
    try:
        text = read_text(file, "replace")
    except FileNotFoundError:
        raise DatasetError(f"the annotation file {file} does not exist") from None
    except OSError as error:
        raise DatasetError(f"the annotation file {file} cannot be read: {error.strerror}") from error
    lines = text.rstrip().splitlines()
    if not lines:
        raise DatasetError(f"the annotation file {file} is empty")
    with contextlib.suppress(ValueError):  # most files: a regular table with commas, read at once
        table = np.loadtxt(lines, delimiter=",", comments=None, ndmin=2)
        if table.shape == (len(lines), exactly or table.shape[1]) and table.shape[1] >= columns.stop:
            return table[:, columns]
    rows = []
    for number, line in enumerate(lines, start=1):
        fields = re.split(r"[,;\s]+", line.strip(" \t,;\r"))
        if fields == [""]:  # a frame without a target; leaving the line out would shift all later ones
            rows.append([np.nan] * (columns.stop - columns.start))
            continue
        try:
            values = [float(value) for value in fields[columns]]
        except ValueError:
            values = []
        if len(values) != columns.stop - columns.start or (exactly and len(fields) != exactly):
            raise DatasetError(f"{file}, line {number}: expected four numbers for a box, found '{line.strip()[:60]}'")
        rows.append(values)
    return np.array(rows, np.float64)


def read_images(folder: Path, name: str) -> dict[int, Path]:
    """The images of a folder by frame number, in order, see :func:`ltr.common.frame_order.order_frames`.

    Args:
        folder: where the images lie.
        name: of the sequence, for the message.

    Raises:
        DatasetError: if there is no such folder, no image in it, or more than one order of them.
    """
    if not may_exist(folder):
        raise DatasetError(f"sequence {name} has no image folder {folder}")
    try:
        images = _numbered_images(folder) or order_frames(find_images(folder))
    except FrameOrderError as error:
        raise DatasetError(f"sequence {name}: in {folder}, {error}") from error
    except OSError as error:
        raise DatasetError(f"sequence {name}: the folder {folder} cannot be read: {error.strerror}") from error
    if not images:
        raise DatasetError(f"sequence {name} has no images in {folder}")
    return images


def _numbered_images(folder: Path) -> dict[int, Path] | None:
    """The images of a folder in order, where each name is a number of its own, as in most benchmarks; else None.

    A shortcut of :func:`order_frames`, which needs seconds for the hundred thousands of images of a large set.
    """
    found: dict[int, Path] = {}
    for path in folder.iterdir():
        stem, dot, suffix = path.name.rpartition(".")
        if f"{dot}{suffix}".lower() not in IMAGE_SUFFIXES or not stem or stem[0] == ".":
            continue
        if not (stem.isascii() and stem.isdigit()) or int(stem) in found:
            return None
        found[int(stem)] = path
    return dict(sorted(found.items()))


def numbered_frames(images: dict[int, Path], first: int, last: int) -> list[Path]:
    """Paths of the frames first..last; one that is not on disk gets the name it would have."""
    (least, example), (greatest, other) = next(iter(images.items())), list(images.items())[-1]
    numbers = [list(re.finditer(r"\d+", path.stem)) for path in (example, other)]
    pairs = zip(*numbers, strict=False)
    spans = [here.span() for here, there in pairs if (int(here[0]), int(there[0])) == (least, greatest)]

    def missing(number: int) -> Path:
        if not spans:
            return example.with_name(f"{number}{example.suffix}")
        start, end = spans[0]
        before, after = example.stem[:start], example.stem[end:]
        return example.with_name(f"{before}{number:0{end - start}d}{after}{example.suffix}")

    return [images.get(number) or missing(number) for number in range(first, last + 1)]


def every_frame(images: dict[int, Path], first: int, count: int, name: str) -> list[Path]:
    """The ``count`` images from number ``first`` on.

    Raises:
        DatasetError: if one of them is not on disk; names the first and says how many.
    """
    frames = numbered_frames(images, first, first + count - 1)
    missing = [frame for number, frame in enumerate(frames, start=first) if number not in images]
    if missing:
        raise DatasetError(
            f"sequence {name}: {len(missing)} of its {count} images are not in {missing[0].parent}, the first is "
            f"{missing[0].name}; copy the sequence again"
        )
    return frames


def frame_of_each_line(images: dict[int, Path], first: int, annotation: Path, lines: int, name: str) -> list[Path]:
    """The image of each line of an annotation, from number ``first`` on.

    Raises:
        DatasetError: if there are more images than lines, or :func:`every_frame` does.
    """
    if len(images) > lines:
        raise DatasetError(
            f"sequence {name}: {annotation} has {lines} lines, but {next(iter(images.values())).parent} has "
            f"{len(images)} images; copy the sequence again"
        )
    return every_frame(images, first, lines, name)


def extend_first_box(boxes: np.ndarray, count: int) -> np.ndarray:
    """(count, 4): a first box that stands alone, (1, 4), followed by frames without annotation (NaN)."""
    return np.concatenate([boxes, np.full((count - 1, 4), np.nan)])


def read_names(file: Path) -> list[str]:
    """The names of a list, one a line.

    Raises:
        DatasetError: if it cannot be read, names nothing, or names a path, which would lead out of the data set.
    """
    try:
        names = [line.strip() for line in read_text(file, "replace").splitlines()]
    except OSError as error:
        raise DatasetError(f"the list of sequences {file} cannot be read: {error.strerror}") from error
    if not any(names):
        raise DatasetError(f"the list of sequences {file} names none")
    paths = [name for name in names if re.search(r"[/\\\0]", name) or name in (".", "..")]
    if paths:
        raise DatasetError(f"the list of sequences {file} has '{paths[0][:60]}', which is a path and no name")
    return [name for name in names if name]


def read_flags(file: Path, count: int) -> np.ndarray | None:
    """(count,) float64: a number for each frame, separated by commas, blanks or line ends; None without the file.

    Raises:
        DatasetError: if it holds other than ``count`` numbers (or one more, for an image without a box).
    """
    try:
        text = read_text(file, "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DatasetError(f"the flags {file} cannot be read: {error.strerror}") from error
    try:
        values = np.array([float(value) for value in re.findall(r"[^,;\s]+", text)])
    except ValueError as error:
        raise DatasetError(f"the flags {file} are not all numbers: {error}") from error
    if len(values) not in (count, count + 1):
        raise DatasetError(f"{file} has {len(values)} values for {count} boxes; copy the sequence again")
    return values[:count]


def pair_in_order(images: dict[int, Path], boxes: np.ndarray) -> list[Path] | None:
    """The image of each annotation line if the folder holds all of them, or all but some in the middle; else None."""
    if len(images) == len(boxes):
        return list(images.values())
    # A gap in the numbers is an image that got lost: name it now, so that reading it says which one it is.
    first, last = min(images), max(images)
    return numbered_frames(images, first, last) if last - first + 1 == len(boxes) else None


def subfolders(root: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones and the one that macOS adds to archives.

    A link to nothing counts: a sequence that was moved away is a problem and not absent.
    """
    found = (path for path in root.iterdir() if path.is_dir() or path.is_symlink() and not path.exists())
    return sorted(path for path in found if path.name[0] != "." and path.name != "__MACOSX")


def may_exist(path: Path) -> bool:
    """Whether there is anything at a path, or this cannot be found out: reading it then says what is wrong."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
