"""OpenCV's classical trackers, for comparison."""
