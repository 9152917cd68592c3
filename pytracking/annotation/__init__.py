"""Objects and their boxes as annotation tools write them: CVAT, MOTChallenge, COCO for video, a table of boxes."""
