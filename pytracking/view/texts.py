"""The live view's words: status and help, as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

HELP = """
<div style="padding: 4px 10px; line-height: 1.45">
<b>Click on a window first</b>, then press a key:<br>
<b>space</b> &ndash; pause, and go on. While paused, nothing of the tracker moves.<br>
<b>&rarr;</b> &ndash; one frame, and pause.<br>
<b>Blocks</b>: a check box shows or closes a window; nothing is computed for a closed one.<br>
Frames that the view leaves out to keep up are tracked all the same.<br>
Windows can be moved by their bar and resized at their lower right corner.<br>
If the server was started anew, reload this page.
</div>
"""

_BADGES = {"running": "#1b7f4b", "paused": "#b45309", "finished": "#3b5998", "stopped": "#b91c1c"}


def status(state: str, rows: Mapping[str, str]) -> str:
    """A table of names and values below a badge.

    Args:
        state: 'running', 'paused', 'finished' or 'stopped'.
    """
    cells = "".join(
        f'<tr><td style="color: #5b6068; padding-right: 14px; vertical-align: top">{escape(name)}</td>'
        f"<td>{escape(value)}</td></tr>"
        for name, value in rows.items()
    )
    badge = (
        f'<span id="view-state" style="background: {_BADGES[state]}; color: white; border-radius: 3px; '
        f'padding: 1px 8px; font-weight: bold">{state}</span>'
    )
    return f'<div style="padding: 6px 10px; line-height: 1.5">{badge}<table>{cells}</table></div>'
