"""Where things lie on this machine, and the record of how a result was made."""
