"""Networks that regress boxes."""

from ltr.models.bbreg.atom import RESNET18, AtomNet, AtomNetConfig, load_atom_net, save_head, trained_by_pytracking
from ltr.models.bbreg.atom_iou_net import AtomIoUNet, BoxFeatures, Modulation
from ltr.models.bbreg.inference import BoxEnergy, FrozenBoxNet

__all__ = [
    "RESNET18",
    "AtomIoUNet",
    "AtomNet",
    "AtomNetConfig",
    "BoxEnergy",
    "BoxFeatures",
    "FrozenBoxNet",
    "Modulation",
    "load_atom_net",
    "save_head",
    "trained_by_pytracking",
]
