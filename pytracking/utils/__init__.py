"""What trackers show: boxes and densities drawn on frames, contact sheets, and video in and out.

This package is the only one that imports PyAV. It imports OpenCV first: both wheels carry an FFmpeg, OpenCV's also Qt,
and if PyAV's libraries are loaded first, OpenCV's windows hang. A program that imports `av` itself has to import
`cv2` before it.
"""

import cv2  # noqa: F401  (before `av`, see above)
