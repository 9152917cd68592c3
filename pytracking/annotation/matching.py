"""Which boxes of a file belong to which video."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ltr.common.secrets_in_text import without_secrets
from pytracking.annotation.tracks import AnnotationError, VideoTracks
from pytracking.utils.video import is_address, warn


@dataclass
class Matching:
    """The objects of each video, by its position among those that were asked for.

    Attributes:
        found: the objects.
        problems: why a video has none, if that is an error.
        unused: names in the file that are none of the videos.
    """

    found: dict[int, VideoTracks] = field(default_factory=dict)
    problems: dict[int, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)


def match_videos(boxes: Sequence[VideoTracks], videos: Sequence[str], file: Path) -> Matching:
    """Find each video's objects by its name, which may leave out the suffix, and folders from the left.

    The boxes of one video, under whatever name, belong to the only video that was asked for; another name is said.

    Raises:
        AnnotationError: if the file does not say which of several videos it is of.
    """
    if len(videos) == 1 and len(boxes) == 1:
        name = boxes[0].video
        if name is not None and not _owners(name, videos):
            warn(f"the boxes in {file} are of {name}; they are used for {without_secrets(videos[0])}")
        return Matching({0: boxes[0]})
    matching = Matching()
    for each in boxes:
        if each.video is None:
            raise AnnotationError(
                f"{file} does not say which of the {len(videos)} videos its boxes are of: give one video at a time, or "
                "a table (.csv) that names them"
            )
        owners = _owners(each.video, videos)
        if not owners:
            matching.unused.append(each.video)
        for owner in owners:
            if len(owners) > 1:
                others = " and ".join(without_secrets(videos[other]) for other in owners)
                matching.problems[owner] = f"{file}: {each.video} could be {others}; write more of its path there"
            elif owner in matching.found:
                matching.problems[owner] = f"{file} names it twice: {matching.found[owner].video} and {each.video}"
            else:
                matching.found[owner] = each
    for owner in matching.problems:
        matching.found.pop(owner, None)
    return matching


def _owners(name: str, videos: Sequence[str]) -> list[int]:
    """The videos of this name; those of the very name, suffix and case included, if there are any."""
    wanted = _parts(name)
    paths = [_parts(video if is_address(video) else str(Path(video).absolute())) for video in videos]
    folded = [tuple(map(str.casefold, path)) for path in paths]
    return _with_tail(wanted, paths) or _with_tail(tuple(map(str.casefold, wanted)), folded)


def _with_tail(wanted: tuple[str, ...], paths: Sequence[tuple[str, ...]]) -> list[int]:
    """The paths that end so, or failing those, that do so without the suffix of either."""
    exact = [index for index, path in enumerate(paths) if path[-len(wanted) :] == wanted]
    if exact:
        return exact
    stems = [(*path[:-1], PurePosixPath(path[-1]).stem) for path in paths]
    bare = (*wanted[:-1], PurePosixPath(wanted[-1]).stem)
    return [
        index
        for index, (stem, path) in enumerate(zip(stems, paths, strict=True))
        if stem[-len(wanted) :] == wanted or path[-len(wanted) :] == bare
    ]


def _parts(name: str) -> tuple[str, ...]:
    """Folders and file name, in one spelling of accented letters, without what leads nowhere or up."""
    text = posixpath.normpath(unicodedata.normalize("NFC", name).replace("\\", "/"))
    return tuple(part for part in text.split("/") if part not in ("", ".", "..")) or ("",)
