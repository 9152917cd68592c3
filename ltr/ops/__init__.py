import warnings

# `python -m ltr.ops.prroi_pool` runs a module that is imported here already, as it should be.
warnings.filterwarnings("ignore", message="'ltr.ops.prroi_pool' found in sys.modules", category=RuntimeWarning)

from ltr.ops.iou_guided_nms import iou_guided_nms  # noqa: E402
from ltr.ops.prroi_pool import PrRoIPool, prroi_pool  # noqa: E402

__all__ = ["PrRoIPool", "iou_guided_nms", "prroi_pool"]
