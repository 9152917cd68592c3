"""`python -m pytracking.analysis` is `ebm-analyse`."""

from pytracking.commands.analyse import main

raise SystemExit(main())
