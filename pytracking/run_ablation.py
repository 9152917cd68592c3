from pytracking.commands.ablate import main

if __name__ == "__main__":
    raise SystemExit(main())
