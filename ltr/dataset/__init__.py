"""Data sets as users have them on disk, each a list of targets with boxes over time."""

from ltr.dataset.base import DatasetError, SequenceInfo, VideoDataset
from ltr.dataset.coco import COCO
from ltr.dataset.got10k import GOT10k
from ltr.dataset.image_folder import ImageFolder
from ltr.dataset.lasot import LaSOT
from ltr.dataset.trackingnet import TrackingNet

__all__ = ["COCO", "DatasetError", "GOT10k", "ImageFolder", "LaSOT", "SequenceInfo", "TrackingNet", "VideoDataset"]
