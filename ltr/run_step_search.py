from ltr.commands.search_steps import main

if __name__ == "__main__":
    raise SystemExit(main())
