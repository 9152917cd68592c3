from ltr.commands.compare_toy import main

if __name__ == "__main__":
    raise SystemExit(main())
