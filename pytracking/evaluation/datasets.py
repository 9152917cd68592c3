"""Benchmarks for tracking: OTB-100, NFS (30 frames per second), and any folder in OTB's layout.

A benchmark is read as it lies on disk; what is not there is not run, and :meth:`SequenceList.summary` says so. Images
and annotation lines are matched by the **frame numbers in the file names**, since copies differ: David, for example, is
annotated from frame 300 to 770, and is found with all its 770 images as well as with only those 471.

OTB's layout, a folder for each sequence::

    David/img/0300.jpg ...          .jpg, .jpeg, .png or .bmp; any number of digits
    David/groundtruth_rect.txt      x, y, w, h on a line, separated by commas, tabs or blanks
    Jogging/groundtruth_rect.1.txt  a sequence with several targets has a numbered file for each: Jogging-1, Jogging-2
    David/attributes.txt            optional: what is hard about it, in words separated by commas or blanks (IV, OCC);
                                    OTB-100's own sequences need none, their eleven attributes are known

NFS, either as published (annotated at 240 frames per second, every eighth line used)::

    dog_1/30/dog_1/00001.jpg ...    dog_1/30/dog_1.txt: columns 2-5 are left, top, right, bottom

or as PyTracking's users repacked it (x, y, w, h, one line a frame)::

    sequences/dog_1/00001.jpg ...   anno/nfs_dog_1.txt
"""

import difflib
import os
import re
from collections.abc import Callable, Iterable
from collections.abc import Sequence as SequenceType
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ltr.common.environment import get_path
from ltr.common.errors import UserError
from pytracking.evaluation.otb_attributes import OTB_ATTRIBUTES

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}

#: OTB-100: every target with the number of frames it is run on (59,035 in all).
OTB_LENGTHS = {
    "Basketball": 725, "Biker": 142, "Bird1": 408, "Bird2": 99, "BlurBody": 334, "BlurCar1": 742, "BlurCar2": 585,
    "BlurCar3": 357, "BlurCar4": 380, "BlurFace": 493, "BlurOwl": 631, "Board": 698, "Bolt": 350, "Bolt2": 293,
    "Box": 1161, "Boy": 602, "Car1": 1020, "Car2": 913, "Car24": 3059, "Car4": 659, "CarDark": 393, "CarScale": 252,
    "ClifBar": 472, "Coke": 291, "Couple": 140, "Coupon": 327, "Crossing": 120, "Crowds": 347, "Dancer": 225,
    "Dancer2": 150, "David": 471, "David2": 537, "David3": 252, "Deer": 71, "Diving": 215, "Dog": 127, "Dog1": 1350,
    "Doll": 3872, "DragonBaby": 113, "Dudek": 1145, "FaceOcc1": 892, "FaceOcc2": 812, "Fish": 476, "FleetFace": 707,
    "Football": 362, "Football1": 74, "Freeman1": 326, "Freeman3": 460, "Freeman4": 283, "Girl": 500, "Girl2": 1500,
    "Gym": 767, "Human2": 1128, "Human3": 1698, "Human4-2": 667, "Human5": 713, "Human6": 792, "Human7": 250,
    "Human8": 128, "Human9": 305, "Ironman": 166, "Jogging-1": 307, "Jogging-2": 307, "Jump": 122, "Jumping": 313,
    "KiteSurf": 84, "Lemming": 1336, "Liquor": 1741, "Man": 134, "Matrix": 100, "Mhyang": 1490, "MotorRolling": 164,
    "MountainBike": 228, "Panda": 1000, "RedTeam": 1918, "Rubik": 1997, "Shaking": 365, "Singer1": 351, "Singer2": 366,
    "Skater": 160, "Skater2": 435, "Skating1": 400, "Skating2-1": 473, "Skating2-2": 473, "Skiing": 81, "Soccer": 392,
    "Subway": 175, "Surfer": 376, "Suv": 945, "Sylvester": 1345, "Tiger1": 349, "Tiger2": 365, "Toy": 271, "Trans": 124,
    "Trellis": 569, "Twinnings": 472, "Vase": 271, "Walking": 412, "Walking2": 500, "Woman": 597,
}  # fmt: skip
#: Number of the first frame where it is not 1.
OTB_FIRST_FRAME = {"David": 300, "BlurCar1": 247, "BlurCar3": 3, "BlurCar4": 18, "Tiger1": 6}
#: Annotated frames before the first one that is run: Tiger1's annotation starts at frame 1, where it is not to be seen.
OTB_OMITTED = {"Tiger1": 5}
#: NFS as benchmarked holds this many sequences. They are discovered on disk, not listed here.
NFS_SIZE = 100

#: Pixel coordinates of OTB's annotation start at 1, those of NFS at 0.
OTB_ORIGIN, NFS_ORIGIN = 1.0, 0.0

DATASETS = ("otb", "nfs", "generated")


class DatasetError(UserError):
    """A benchmark or one of its sequences that is missing, or whose files do not fit together."""


@dataclass(frozen=True, eq=False)
class Sequence:
    """One target in one video.

    ``ground_truth`` is (N, 4) float64, x, y, w, h as annotated, for N ``frames``; lines without a target may be NaN or
    zero, except the first. ``origin`` is the coordinate of the first pixel in the annotation: 1.0 for OTB, which was
    annotated in MATLAB, else 0.0. A tracker works from 0, see :attr:`first_box`; results are written as annotated.
    ``attributes`` says what is hard about the sequence (OCC, ...), where that is known.
    """

    name: str
    frames: list[Path]
    ground_truth: np.ndarray
    dataset: str
    origin: float = 0.0
    attributes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def first_box(self) -> np.ndarray:
        """(4,) float64: the box for the tracker to start from, pixels counted from 0."""
        return self.to_tracker(self.ground_truth[0])

    def to_tracker(self, boxes: np.ndarray) -> np.ndarray:
        """(..., 4) boxes from the annotation's coordinates to the tracker's, whose first pixel is 0."""
        return np.asarray(boxes, np.float64) - [self.origin, self.origin, 0, 0]

    def to_annotation(self, boxes: np.ndarray) -> np.ndarray:
        """(..., 4) boxes from the tracker's coordinates to the annotation's: the inverse of :meth:`to_tracker`."""
        return np.asarray(boxes, np.float64) + [self.origin, self.origin, 0, 0]

    def __repr__(self) -> str:
        return f"Sequence({self.name!r}, {len(self)} frames, {self.dataset!r})"


@dataclass
class SequenceList:
    """The sequences of a benchmark that are on disk, by index or by name.

    ``problems`` has, by name, those that are there but cannot be run, each with the reason. ``expected`` is the number
    the whole benchmark has, where that is known. Of several benchmarks in one (:func:`get_datasets`), ``parts`` has
    each by itself, and ``root`` is the folder that holds all of theirs.
    """

    title: str
    root: Path
    sequences: list[Sequence]
    problems: dict[str, DatasetError] = field(default_factory=dict)
    expected: int | None = None
    parts: tuple["SequenceList", ...] = ()

    def __len__(self) -> int:
        return len(self.sequences)

    def __iter__(self):
        return iter(self.sequences)

    def __getitem__(self, key: int | str) -> Sequence:
        """A sequence by index or by name.

        Names are taken with '-' or '_' alike (PyTracking writes Jogging_1), and an index may be written as a string.
        Raises DatasetError where there is none (naming the nearest), or where it cannot be run.
        """
        if isinstance(key, int):
            return self.sequences[key]
        by_name = {_plain_name(sequence.name): sequence for sequence in self.sequences}
        wanted = _plain_name(key)
        if wanted in by_name:
            return by_name[wanted]
        for name, problem in self.problems.items():
            if _plain_name(name) == wanted:
                raise problem
        if key.isdecimal():
            if int(key) < len(self):
                return self.sequences[int(key)]
            raise DatasetError(f"no sequence {key} in {self.title}: it has {len(self)}, numbered from 0")
        lower = {name.lower(): sequence.name for name, sequence in by_name.items()}
        near = [lower[name] for name in difflib.get_close_matches(wanted.lower(), lower, n=3)]
        listed = f"did you mean {' or '.join(near)}?" if near else _some([sequence.name for sequence in self], "it has")
        raise DatasetError(f"no sequence '{key}' in {self.title} under {self.root}; {listed}")

    def summary(self) -> str:
        """What was found, such as 'OTB-100: 15 of 100 targets found under /data/otb'; a line for each benchmark."""
        if self.parts:
            return "\n".join(part.summary() for part in self.parts)
        count = f"{len(self)} of {self.expected} targets" if self.expected else f"{len(self)} targets"
        unusable = f", {len(self.problems)} more cannot be run" if self.problems else ""
        return f"{self.title}: {count} found under {self.root}{unusable}"


def get_dataset(name: str, root: str | os.PathLike | None = None) -> SequenceList:
    """A benchmark as it lies on disk.

    ``name`` is 'otb', 'nfs', 'generated' (made on first use, see :mod:`ltr.dataset.generated`), or the path of a folder
    in OTB's layout. ``root`` is the folder of a named benchmark; without it the settings decide
    (:func:`ltr.common.environment.get_path`).

    Raises DatasetError where there is no such benchmark, or nothing in it can be run. A single sequence that cannot be
    run does not raise: it is listed in ``problems``.
    """
    readers: dict[str, Callable[[], SequenceList]] = {
        "otb": lambda: _read_otb(get_path("otb", root)),
        "nfs": lambda: _read_nfs(get_path("nfs", root)),
        "generated": lambda: _read_generated(root),
    }
    if name.lower() in readers:
        dataset = readers[name.lower()]()
    elif Path(name).expanduser().is_dir():
        dataset = read_folder(Path(name).expanduser())
    elif os.sep in name or "/" in name:
        raise DatasetError(f"the data set folder {name} does not exist")
    else:
        near = difflib.get_close_matches(name.lower(), readers, n=1, cutoff=0.5)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise DatasetError(
            f"no data set '{name}'{meant}: known are {', '.join(readers)}, or give the path of a folder in OTB's layout"
        )
    if dataset.problems and not dataset.sequences:
        reason = next(iter(dataset.problems.values()))
        raise DatasetError(f"none of the {len(dataset.problems)} sequences under {dataset.root} can be run: {reason}")
    if not dataset.sequences:
        raise DatasetError(f"no sequences of {dataset.title} were found under {dataset.root}")
    return dataset


def get_datasets(names: SequenceType[str], root: str | os.PathLike | None = None) -> SequenceList:
    """Several benchmarks as one: the sequences of each, in the order of ``names``. A single name gives that benchmark.

    Raises DatasetError where :func:`get_dataset` does, where two of them have a sequence of one name (results go by
    names), and where ``root`` is given with several names; ValueError without a name.
    """
    if not names:
        raise ValueError("no data set is named")
    if len(names) == 1:
        return get_dataset(names[0], root)
    if root is not None:
        raise DatasetError(
            f"--dataset_root goes with one data set, not with {len(names)}; name the folders by --dataset_name"
        )
    parts = tuple(get_dataset(name) for name in names)
    owners: dict[str, SequenceList] = {}
    for part in parts:
        for name in [*(sequence.name for sequence in part), *part.problems]:
            owner = owners.setdefault(_plain_name(name).casefold(), part)
            if owner is not part:
                raise DatasetError(
                    f"the sequence {name} is both in {owner.title} under {owner.root} and in {part.title} under "
                    f"{part.root}; rename one of the two, or take one data set at a time"
                )
    return SequenceList(
        " + ".join(part.title for part in parts),
        Path(os.path.commonpath([part.root.resolve() for part in parts])),
        [sequence for part in parts for sequence in part],
        {name: problem for part in parts for name, problem in part.problems.items()},
        parts=parts,
    )


def read_folder(root: Path, title: str | None = None) -> SequenceList:
    """Every sequence of a folder in OTB's layout. Names that OTB-100 has keep its special ranges where those apply."""
    title = title or root.resolve().name
    sequences: dict[str, Callable[[], Sequence]] = {}
    for folder in _subfolders(root):
        for target, file in _targets(folder).items():
            name = folder.name if target is None else f"{folder.name}-{target}"
            sequences[name] = _reader(_otb_sequence, name, folder, file, title, strict=False)
    return _collect(title, root, sequences)


def _read_otb(root: Path) -> SequenceList:
    folders = {folder.name: folder for folder in _subfolders(root)}
    sequences: dict[str, Callable[[], Sequence]] = {}
    for name in OTB_LENGTHS:
        base, _, target = name.partition("-")
        if target and name in folders:  # some mirrors have a folder for each target
            folder, file = folders[name], next(iter(_targets(folders[name]).values()), None)
        elif base in folders:
            folder, file = folders[base], _targets(folders[base]).get(target or None)
        else:
            continue
        sequences[name] = _reader(_otb_sequence, name, folder, file, "otb", strict=True)
    return _collect("OTB-100", root, sequences, expected=len(OTB_LENGTHS))


def _read_nfs(root: Path) -> SequenceList:
    sequences: dict[str, Callable[[], Sequence]] = {}
    if (root / "sequences").is_dir():
        for folder in _subfolders(root / "sequences"):
            names = (f"nfs_{folder.name}.txt", f"{folder.name}.txt")
            file = next((root / "anno" / name for name in names if (root / "anno" / name).is_file()), None)
            file = file or root / "anno" / names[0]
            sequences[f"nfs_{folder.name}"] = _reader(_nfs_repacked_sequence, f"nfs_{folder.name}", folder, file)
    else:
        for folder in _subfolders(root):
            if (folder / "30").is_dir():
                sequences[f"nfs_{folder.name}"] = _reader(_nfs_official_sequence, f"nfs_{folder.name}", folder / "30")
    return _collect("NFS", root, sequences, expected=NFS_SIZE)


def _read_generated(root: str | os.PathLike | None) -> SequenceList:
    from ltr.dataset.generated import write_benchmark  # draws images: loaded only where they are wanted

    folder = Path(root) if root else get_path("workspace") / "generated_benchmark"
    write_benchmark(folder, seed=0)
    return read_folder(folder, "generated")


def _reader(function: Callable[..., Sequence], *arguments, **keywords) -> Callable[[], Sequence]:
    return lambda: function(*arguments, **keywords)


def _collect(
    title: str, root: Path, readers: dict[str, Callable[[], Sequence]], expected: int | None = None
) -> SequenceList:
    """Reads each sequence, keeping those that work and the reasons of those that do not."""
    dataset = SequenceList(title, root, [], expected=expected)
    for name, read in readers.items():
        try:
            dataset.sequences.append(read())
        except DatasetError as problem:
            dataset.problems[name] = problem
    return dataset


def _otb_sequence(name: str, folder: Path, annotation: Path | None, dataset: str, strict: bool) -> Sequence:
    """One target in OTB's layout.

    With ``strict`` it is the sequence of OTB-100, run on exactly the benchmark's frames. Without, the plain reading, a
    line for each image, comes first, and OTB's range is tried where that does not fit.
    """
    if annotation is None:
        raise DatasetError(f"sequence {name} has no annotation file for it in {folder}")
    boxes = read_boxes(annotation)
    images = _images(folder / "img", name)
    frames = None
    if not strict:
        frames = _pair_plainly(images, boxes)
    if frames is None and name in OTB_LENGTHS:
        paired = _pair_by_otb_range(name, images, boxes)
        if paired is not None:
            frames, boxes = paired
    if frames is None:
        benchmark = f", and the benchmark runs it on {OTB_LENGTHS[name]} frames" if name in OTB_LENGTHS else ""
        raise DatasetError(
            f"sequence {name}: {annotation} has {len(boxes)} lines, but {folder / 'img'} has {len(images)} images"
            f"{benchmark}; copy the sequence again"
        )
    attributes = _read_attributes(folder / "attributes.txt") or otb_attributes(name, len(boxes))
    return Sequence(name, frames, boxes, dataset, OTB_ORIGIN, attributes)


def otb_attributes(name: str, length: int) -> tuple[str, ...]:
    """The attributes of a target of OTB-100, which has the name (in any toolkit's spelling) and the number of frames of
    one; none of anything else, since a user's own 'Man' is another one."""
    name = _plain_name(name)
    return tuple(OTB_ATTRIBUTES[name].split()) if OTB_LENGTHS.get(name) == length else ()


def _read_attributes(file: Path) -> tuple[str, ...]:
    """The words of a sequence's attributes.txt, each once; none where there is no such file."""
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise DatasetError(f"the attributes {file} cannot be read: {error.strerror}") from error
    return tuple(dict.fromkeys(re.findall(r"[^,;\s]+", text)))


def _pair_plainly(images: dict[int, Path], boxes: np.ndarray) -> list[Path] | None:
    """The image of each annotation line when the folder holds all of them, or all but some in its midst."""
    if len(images) == len(boxes):
        return list(images.values())
    # A gap in the numbers is an image that got lost: name it now, so that reading it says which one it is.
    first, last = min(images), max(images)
    return _numbered(images, first, last) if last - first + 1 == len(boxes) else None


def _pair_by_otb_range(name: str, images: dict[int, Path], boxes: np.ndarray) -> tuple[list[Path], np.ndarray] | None:
    """The benchmark's frames of one of its sequences and their boxes; None when the counts fit in no known way."""
    length, first, omitted = OTB_LENGTHS[name], OTB_FIRST_FRAME.get(name, 1), OTB_OMITTED.get(name, 0)
    last = first + length - 1
    if len(boxes) == length + omitted:  # annotated from before the first frame that is run
        boxes = boxes[omitted:]
    elif len(images) == len(boxes) and first in images and last in images:  # a line for every image of the full video
        boxes = boxes[[first <= number <= last for number in images]]
    if len(boxes) != length:
        return None
    # A copy cut to the range and numbered anew from 1 has exactly as many images, but not these numbers.
    if len(images) == length and not (first in images and last in images):
        return list(images.values()), boxes
    return _numbered(images, first, last), boxes


def _nfs_repacked_sequence(name: str, folder: Path, annotation: Path) -> Sequence:
    images, boxes = _images(folder, name), read_boxes(annotation)
    frames = _pair_plainly(images, boxes)
    if frames is None:
        raise DatasetError(
            f"sequence {name}: {annotation} has {len(boxes)} lines, but {folder} has {len(images)} images; "
            "copy the sequence again"
        )
    return Sequence(name, frames, boxes, "nfs", NFS_ORIGIN)


def _nfs_official_sequence(name: str, folder: Path) -> Sequence:
    base = folder.parent.name
    annotation = folder / f"{base}.txt"
    corners = _read_numbers(annotation, columns=slice(1, 5))
    images = _images(folder / base, name)
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    frames = list(images.values())
    # The annotation is at 240 frames per second beside images at 30; a few sequences differ by one at the end.
    if abs(len(frames) - len(boxes)) > 1:
        boxes = boxes[::8]
    if abs(len(frames) - len(boxes)) > 1:
        raise DatasetError(
            f"sequence {name}: {annotation} has {len(corners)} lines, but {folder / base} has {len(images)} images, "
            "which is neither one line an image nor eight; copy the sequence again"
        )
    length = min(len(frames), len(boxes))
    return Sequence(name, frames[:length], boxes[:length], "nfs", NFS_ORIGIN)


def read_boxes(file: Path) -> np.ndarray:
    """(N, 4) float64 from a text file with x, y, w, h on a line, separated by commas, tabs, blanks or semicolons.

    Raises DatasetError naming file and line where a line is not four numbers.
    """
    return _read_numbers(file, slice(0, 4), exactly=4)


def _read_numbers(file: Path, columns: slice, exactly: int | None = None) -> np.ndarray:
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError:
        raise DatasetError(f"the annotation file {file} does not exist") from None
    except OSError as error:
        raise DatasetError(f"the annotation file {file} cannot be read: {error.strerror}") from error
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = re.split(r"[,;\s]+", line.strip(" \t,;\r"))
        if fields == [""]:
            continue
        try:
            values = [float(value) for value in fields[columns]]
        except ValueError:
            values = []
        if len(values) != columns.stop - columns.start or (exactly and len(fields) != exactly):
            raise DatasetError(f"{file}, line {number}: expected four numbers for a box, found '{line.strip()[:60]}'")
        rows.append(values)
    if not rows:
        raise DatasetError(f"the annotation file {file} is empty")
    return np.array(rows, np.float64)


def _images(folder: Path, name: str) -> dict[int, Path]:
    """The images of a folder by frame number, in order. Names without numbers are counted from 1 in their order."""
    if not folder.is_dir():
        raise DatasetError(f"sequence {name} has no image folder {folder}")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != ".")
    if not files:
        raise DatasetError(f"sequence {name} has no images in {folder}")
    numbers = [re.findall(r"\d+", path.stem) for path in files]
    if all(numbers) and len({int(found[-1]) for found in numbers}) == len(files):
        return dict(sorted((int(found[-1]), path) for found, path in zip(numbers, files, strict=True)))
    return dict(enumerate(files, start=1))


def _numbered(images: dict[int, Path], first: int, last: int) -> list[Path]:
    """Paths of the frames first..last; one that is not on disk gets the name it would have."""
    example = next(iter(images.values()))
    match = re.fullmatch(r"(.*?)(\d+)(\D*)", example.stem)

    def missing(number: int) -> Path:
        if not match:
            return example.with_name(f"{number}{example.suffix}")
        return example.with_name(f"{match[1]}{number:0{len(match[2])}d}{match[3]}{example.suffix}")

    return [images.get(number) or missing(number) for number in range(first, last + 1)]


def _targets(folder: Path) -> dict[str | None, Path]:
    """Annotation files of a folder by target: None for the only one, '1', '2' ... for several. Empty ones are left out,
    as Human4's first, which the benchmark does not use."""
    targets: dict[str | None, Path] = {}
    for path in sorted(folder.glob("groundtruth_rect*.txt")):
        match = re.fullmatch(r"groundtruth_rect(?:\.(\d+))?\.txt", path.name)
        if match and path.read_text(errors="replace").strip():
            targets[match[1]] = path
    return targets


def _subfolders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _plain_name(name: str) -> str:
    return name.replace("_", "-").replace(".", "-")


def _some(names: Iterable[str], opening: str, limit: int = 8) -> str:
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f"{opening} {', '.join(names[:limit])}{more}"
