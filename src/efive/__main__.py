"""`python -m efive`: the command line, for launchers that start modules (torchrun)."""

from efive.cli import main

main()
