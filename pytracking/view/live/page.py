"""The live page: keeps its windows up to date with the run."""

from __future__ import annotations

from pytracking.view.live import figures
from pytracking.view.live.blocks import (
    BLOCKS,
    HELP,
    HELP_HTML,
    PLOTS,
    STATUS,
    TRACKING,
    block_figure,
    picture_size,
    status_html,
    tracking_picture,
    was_requested,
)
from pytracking.view.live.client import VisdomClient, VisdomWindow
from pytracking.view.live.plot_parts import jpeg_uri
from pytracking.view.live.snapshot import RunStatus, Snapshot


class Page:
    """The windows that are shown, and the snapshots they were drawn from. Not thread-safe.

    Args:
        client: shows the windows.

    Raises:
        ServerError: in all methods that draw, if the server is gone.
    """

    def __init__(self, client: VisdomClient):
        self._client = client
        self._shown: dict[str, object] = {}  # by window: what its content depends on, if it is drawn on changes only
        self._newest: Snapshot | None = None
        self._newest_with_plots: Snapshot | None = None

    def forget(self) -> None:
        """The windows are gone: the next update makes all of them again."""
        self._shown.clear()

    def forget_window(self, title: str) -> None:
        """The window is gone: the next update that shows it makes it again."""
        self._shown.pop(title, None)

    def update(self, snapshot: Snapshot | None, run: RunStatus, blocks: dict[str, bool]) -> None:
        """Draw a snapshot; without one, draw only what depends on the state of the run and the blocks.

        Args:
            snapshot: the newest frame.
            run: how the run goes.
            blocks: by name, whether each is on; windows of the others are closed.
        """
        if snapshot is not None:
            self._newest = snapshot
            if snapshot.with_plots:
                self._newest_with_plots = snapshot
                self._record_width(snapshot)
        if self._newest is None:
            return
        if snapshot is not None or TRACKING not in self._shown:
            picture = tracking_picture(self._newest.frame, *picture_size())
            self._show(VisdomWindow(TRACKING, [{"type": "image", "content": {"src": jpeg_uri(picture)}}]))
        for block in PLOTS:
            self._update_plot(block, blocks[block], snapshot is not None and snapshot.with_plots, run)
        status = status_html(self._newest.frame, run, self._effective_sample_size())
        self._show(VisdomWindow(STATUS, [{"type": "text", "content": status}]))
        if self._shown.get(BLOCKS) != blocks:
            boxes = [{"type": "checkbox", "name": name, "value": on} for name, on in blocks.items()]
            self._show(VisdomWindow(BLOCKS, [{"type": "properties", "content": boxes}]), dict(blocks))
        if not blocks[HELP]:
            self._hide(HELP)
        elif HELP not in self._shown:
            self._show(VisdomWindow(HELP, [{"type": "text", "content": HELP_HTML}]))

    def _update_plot(self, block: str, on: bool, is_new: bool, run: RunStatus) -> None:
        if not on:
            self._hide(block)
        elif self._newest_with_plots is not None and (is_new or block not in self._shown):
            if was_requested(block, self._newest_with_plots) or run.state != "running":
                self._show(VisdomWindow(block, *block_figure(block, self._newest_with_plots)))

    def _hide(self, title: str) -> None:
        if title in self._shown:
            del self._shown[title]
            self._client.hide(title)

    def _show(self, window: VisdomWindow, depends_on: object = None) -> None:
        self._client.show(window)
        self._shown[window.title] = depends_on

    def _record_width(self, snapshot: Snapshot) -> None:
        density = snapshot.frame.targets[0].output.density
        if density is not None:
            snapshot.history.add_width(snapshot.frame.index + 1, 100 * figures.relative_width(density))

    def _effective_sample_size(self) -> float | None:
        if self._newest_with_plots is None:
            return None
        density = self._newest_with_plots.frame.targets[0].output.density
        return None if density is None else density.effective_sample_size
