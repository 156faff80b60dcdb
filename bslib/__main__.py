"""``python -m bslib``: the command line, where the command ``bslib`` is not on the path."""

from bslib.cli import main

main()
