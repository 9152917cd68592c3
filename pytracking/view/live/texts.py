"""The live view's words: status and help, as HTML."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

HELP = """
<div style="padding: 6px 10px; line-height: 1.4; font-size: 13px">
<b>Click on a window</b>, then press a key:<br>
<b>space</b> pauses the tracker, and lets it go on;<br>
<b>&rarr;</b> pauses, then tracks one frame at a time.<br>
<b>Blocks</b>: a check box shows or closes a window. Nothing is computed for a closed one while the tracker runs.<br>
Frames not drawn are tracked all the same: the view never costs more time than tracking.<br>
Server started anew? Reload this page.
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
