"""OpenCV's classical trackers, run beside ours for comparison."""
