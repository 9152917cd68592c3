"""Grid search of the refinement's step-lengths on validation data, by the task's own measure (Appendix A).

A task that `ebm-search-steps` knows is listed in :data:`TASKS`.
"""

TASKS = {
    "bbreg": "box networks of the tracker: mean IoU of refined boxes on held-out pairs",
    "detection": "detectors that refine: mean IoU of their refined detections",
    "age": "mean absolute error of the baselines' refined predictions, validation images",
    "head_pose": "the same",
}
