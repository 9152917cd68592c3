"""Data sets on disk: targets with boxes over time, images with objects, and images with numbers (ages, head poses)."""

from ltr.dataset.aflw2000 import read_aflw2000
from ltr.dataset.base import DatasetError, SequenceInfo, VideoDataset
from ltr.dataset.biwi import read_biwi
from ltr.dataset.coco import COCO
from ltr.dataset.coco_detection import DetectionImages, read_coco_detection
from ltr.dataset.fsanet import read_fsanet
from ltr.dataset.got10k import GOT10k
from ltr.dataset.image_folder import ImageFolder
from ltr.dataset.labelled import LabelledImages
from ltr.dataset.lasot import LaSOT
from ltr.dataset.pointing04 import read_pointing04, read_pointing04_crops
from ltr.dataset.trackingnet import TrackingNet
from ltr.dataset.utkface import read_utkface, read_utkface_split

__all__ = [
    "COCO",
    "DatasetError",
    "DetectionImages",
    "GOT10k",
    "ImageFolder",
    "LaSOT",
    "LabelledImages",
    "SequenceInfo",
    "TrackingNet",
    "VideoDataset",
    "read_aflw2000",
    "read_biwi",
    "read_coco_detection",
    "read_fsanet",
    "read_pointing04",
    "read_pointing04_crops",
    "read_utkface",
    "read_utkface_split",
]
