"""`python -m pytracking.analysis` is `ebm-analyse`."""

from pytracking.commands.analyse import main

if __name__ == "__main__":
    raise SystemExit(main())
