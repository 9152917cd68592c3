from ltr.commands.reproduce import main

if __name__ == "__main__":
    raise SystemExit(main())
