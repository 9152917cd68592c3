import warnings

# `python -m ltr.ops.prroi_pool` runs a module that is imported here already, as it should be.
warnings.filterwarnings("ignore", message="'ltr.ops.prroi_pool' found in sys.modules", category=RuntimeWarning)

from ltr.ops.prroi_pool import PrRoIPool, prroi_pool  # noqa: E402

__all__ = ["PrRoIPool", "prroi_pool"]
