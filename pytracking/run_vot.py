from pytracking.commands.vot import main

if __name__ == "__main__":
    raise SystemExit(main())
