"""`python -m efive`: the command line, for launchers that start modules (torchrun)."""

from efive.cli import main

if __name__ == "__main__":
    main()
