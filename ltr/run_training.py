from ltr.commands.train import main

if __name__ == "__main__":
    raise SystemExit(main())
