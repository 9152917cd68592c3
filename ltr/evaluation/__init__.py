"""Tables of the paper, made from trained networks: one file for each task.

A task is a module with `main(argv) -> int`, listed here; `ltr/run_evaluation.py` calls it.
"""

TASKS = {
    "age": "age of faces on UTKFace: Table S4",
    "detection": "objects on COCO or data in its layout: Table 2",
    "head_pose": "angles of heads on BIWI or Pointing'04: Table S6",
    "toy": "densities in one dimension: the divergence of Figure 2's from the truth",
}
