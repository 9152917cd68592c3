"""What trackers show: boxes and densities drawn on frames, contact sheets, and video in and out."""
