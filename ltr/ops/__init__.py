"""Operations: precise RoI pooling, IoU-guided non-maximum suppression, and fast layers for inference on a CPU."""

import warnings

# `python -m ltr.ops.prroi_pool` runs a module that this package imports already; that is intended
warnings.filterwarnings("ignore", message="'ltr.ops.prroi_pool' found in sys.modules", category=RuntimeWarning)

from ltr.ops.iou_guided_nms import iou_guided_nms  # noqa: E402
from ltr.ops.prroi_pool import PrRoIPool, prroi_pool  # noqa: E402

__all__ = ["PrRoIPool", "iou_guided_nms", "prroi_pool"]
