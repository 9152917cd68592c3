"""Data sets as users have them on disk, each a list of targets with boxes over time."""

from ltr.dataset.base import DatasetError, SequenceInfo, VideoDataset
from ltr.dataset.image_folder import ImageFolder

__all__ = ["DatasetError", "ImageFolder", "SequenceInfo", "VideoDataset"]
