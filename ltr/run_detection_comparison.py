from ltr.commands.compare_detection import main

if __name__ == "__main__":
    raise SystemExit(main())
