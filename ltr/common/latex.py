"""Text in LaTeX."""

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def tex_escape(text: str) -> str:
    """LaTeX that prints any text, on one line."""
    return "".join(_SPECIAL.get(character, character) for character in " ".join(text.split()))
