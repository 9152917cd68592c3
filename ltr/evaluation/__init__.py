"""Evaluation of trained networks: the paper's tables and comparisons.

A task that `ebm-evaluate` knows is a module with `main(argv) -> int`, listed in :data:`TASKS`.
"""

TASKS = {
    "age": "age of faces on UTKFace: Table S4",
    "detection": "objects on COCO or data in its layout: Table 2",
    "head_pose": "angles of heads on BIWI or Pointing'04: Table S6",
    "toy": "densities in one dimension: the divergence of Figure 2's from the truth",
}
