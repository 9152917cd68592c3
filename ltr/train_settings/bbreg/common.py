"""The settings of all box predictors, and the training task that settings describe."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ltr import dataset
from ltr.actors.bbreg import BBRegActor, BBRegProposalSettings, BBRegRefinementSettings, BoxLoss
from ltr.actors.density_loss import BoxLossSettings
from ltr.common.environment import get_path
from ltr.common.errors import UserError
from ltr.common.plain import to_plain
from ltr.common.settings import ScheduleSettings, TrainSettings, run_field
from ltr.data.feature_cache import CachedFeatures
from ltr.data.sampling import PIXELS_VERSION, BoxPairs, CropSettings
from ltr.dataset.generated import Generated
from ltr.models.bbreg import RESNET18, AtomNet, AtomNetConfig
from ltr.trainers.task import Task


@dataclass
class BBRegDataSettings:
    """The data sets that pairs come from."""

    sets: tuple[str, ...] = ("lasot", "got10k", "trackingnet", "coco")
    """Training sets: lasot, got10k, trackingnet, coco, stills, video, generated. (Appendix D.1: the first four.)"""
    proportions: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)
    """How often to draw from each, relative to the others (PyTracking: equal)."""
    val_sets: tuple[str, ...] = ("got10k",)
    """Sets from which validation draws in equal parts (PyTracking: GOT-10k votval)."""
    val_samples: int = 32000
    """Pairs of a validation (PyTracking: 500 batches of 64)."""
    max_gap: int = 50
    """Largest number of frames between the two images of a pair. ATOM: 50, and the paper trains all three alike;
    PyTracking has 200 for ATOM* and EBM."""
    set_weights: dict[str, float] = field(default_factory=dict)
    """How often to draw from sets of the image folder by their names in its index: below 1 where boxes are loose."""
    trackingnet_sets: tuple[int, ...] = (0, 1, 2, 3)
    """Training sets of TrackingNet, of 0 to 11 (PyTracking: the first four)."""
    feature_cache: int = 0
    """Pairs whose backbone features are computed once and cached in the workspace; 0 for none. Useful without a GPU:
    see ltr/data/feature_cache.py."""


@dataclass
class BBRegSettings(TrainSettings):
    """A box predictor for the tracker."""

    model: AtomNetConfig = field(default_factory=lambda: RESNET18)
    backbone_weights: Path | None = run_field(None)
    """File with the backbone's ImageNet weights; by default they come from its package or a download."""
    data: BBRegDataSettings = field(default_factory=BBRegDataSettings)
    crop: CropSettings = field(default_factory=CropSettings)
    proposals: BBRegProposalSettings = field(default_factory=BBRegProposalSettings)
    loss: BoxLoss = "nll"
    """iou trains a prediction of the overlap. All others train a density: nll is the paper's likelihood, and the rest
    are those of Gustafsson et al., BMVC 2020. The best weights have the lowest validation loss of this kind (mcmc and
    dsm: the lowest negative log-likelihood); losses of different kinds cannot be compared."""
    loss_constants: BoxLossSettings = field(default_factory=BoxLossSettings)
    """Of kld, mcmc and dsm; nce_plus has proposals.beta."""
    refinement: BBRegRefinementSettings = field(default_factory=BBRegRefinementSettings)


SETS = ("lasot", "got10k", "trackingnet", "coco", "stills", "video", "generated")


def _open(name: str, split: Literal["train", "val"], data: BBRegDataSettings) -> dataset.VideoDataset:
    """The training set of that name; "stills" and "video" are the two parts of the image folder."""
    match name:
        case "lasot":
            return dataset.LaSOT(get_path("lasot"), split="train")
        case "got10k":
            return dataset.GOT10k(get_path("got10k"), split=split)
        case "trackingnet":
            return dataset.TrackingNet(get_path("trackingnet"), data.trackingnet_sets)
        case "coco":
            return dataset.COCO(get_path("coco"))
        case "stills":
            return dataset.ImageFolder(get_path("image_folder"), "index.jsonl", data.set_weights, split, "stills")
        case "video":
            return dataset.ImageFolder(get_path("image_folder"), kinds="video", split=split)
        case "generated":
            return Generated(seed=int(split == "val"), photos=get_path("image_folder"))
    raise UserError(f"there is no training set {name!r} (data.sets, data.val_sets); there are: {', '.join(SETS)}")


def on_small_backbone(settings: BBRegSettings) -> BBRegSettings:
    """The same system on `efficientnet_lite0`, with data and a budget for one machine without a GPU.

    Still images, videos and generated sequences replace the paper's sets. The shipped heads have these settings.
    """
    settings.model = AtomNetConfig()
    settings.data = BBRegDataSettings(
        sets=("stills", "video", "generated"),
        proportions=(0.45, 0.25, 0.3),
        val_sets=("stills", "video"),
        val_samples=512,
        max_gap=30,
    )
    settings.crop = CropSettings(
        test_center_jitter=3.0, test_scale_jitter=0.35, flip=0.5, contrast=0.3, blur=0.1, stretch=0.2, parts=0.25
    )
    settings.epochs = 20
    settings.samples_per_epoch = 8000
    settings.batch_size = 16
    settings.schedule = ScheduleSettings(kind="one_cycle", warmup=0.15)
    settings.grad_clip = 10.0
    settings.val_every = 2
    settings.workers = 1
    return settings


def validation_pairs(settings: BBRegSettings) -> dict[str, BoxPairs]:
    """The held-out pairs, `data.val_samples` of each validation set, by name of the set.

    Raises:
        UserError: if data are missing or damaged.
    """
    d = settings.data
    return {
        name: BoxPairs([_open(name, "val", d)], [1.0], d.val_samples, d.max_gap, settings.crop, settings.seed + 1)
        for name in d.val_sets
    }


def build(settings: BBRegSettings) -> Task:
    """The training task of the settings.

    Raises:
        UserError: if settings do not fit each other, data or weights are missing, or a cache cannot be written.
    """
    d = settings.data
    if d.feature_cache < 0 or d.val_samples < 1:
        raise UserError(
            f"data.feature_cache is {d.feature_cache} and data.val_samples {d.val_samples}: at least 0 and 1 are needed"
        )
    try:
        net = AtomNet(settings.model, backbone_weights=settings.backbone_weights)
        actor = BBRegActor(net, settings.proposals, settings.loss, settings.refinement, settings.loss_constants)
        length = settings.epochs * settings.samples_per_epoch
        train_sets, val_sets = [_open(s, "train", d) for s in d.sets], [_open(s, "val", d) for s in d.val_sets]
        train = BoxPairs(train_sets, d.proportions, length, d.max_gap, settings.crop, settings.seed)
        val = BoxPairs(val_sets, [1.0] * len(val_sets), d.val_samples, d.max_gap, settings.crop, settings.seed + 1)
    except ValueError as error:
        raise UserError(f"these settings do not fit each other: {error}") from error
    best = "nll" if settings.loss in ("mcmc", "dsm") else "loss"  # mcmc's loss is zero on average at the optimum
    if d.feature_cache:
        folder = get_path("workspace", settings.workspace) / "feature_cache"

        def cached(pairs: BoxPairs, num_pairs: int, sets: tuple[str, ...]) -> CachedFeatures:
            key_parts = [PIXELS_VERSION, sets, pairs.proportions.tolist(), d.max_gap, d.set_weights]
            key_parts += [to_plain(settings.crop), pairs.seed]
            if "trackingnet" in sets:
                key_parts.append(d.trackingnet_sets)
            key = json.dumps(key_parts)
            return CachedFeatures(pairs, num_pairs, net.feature_extractor, folder, key, len(pairs), settings.workers)

        return Task(actor, cached(train, d.feature_cache, d.sets), cached(val, len(val), d.val_sets), best=best)
    return Task(actor, train, val, best=best)
