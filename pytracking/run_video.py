from pytracking.commands.video import main

if __name__ == "__main__":
    raise SystemExit(main())
