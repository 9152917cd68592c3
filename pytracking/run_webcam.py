from pytracking.commands.webcam import main

if __name__ == "__main__":
    raise SystemExit(main())
