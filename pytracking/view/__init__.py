"""Views show or record a tracker's run: a window, a video file, a folder of pictures, a live page in the browser.

A view receives one :class:`~pytracking.view.base.TrackedFrame` after another and knows no tracker; a tracker knows no
view.
"""
