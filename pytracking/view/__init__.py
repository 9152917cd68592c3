"""Views of a tracker's run. They are given one :class:`~pytracking.view.scene.Scene` a frame and know no tracker; a
tracker knows no view."""
