"""Types of command-line options."""

import argparse


def natural(text: str) -> int:
    """A whole number from 0 on, as an option's type."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)
