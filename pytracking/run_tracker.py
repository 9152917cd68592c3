from pytracking.commands.track import main

if __name__ == "__main__":
    raise SystemExit(main())
