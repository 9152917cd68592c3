from ltr.ops.prroi_pool import PrRoIPool, prroi_pool

__all__ = ["PrRoIPool", "prroi_pool"]
