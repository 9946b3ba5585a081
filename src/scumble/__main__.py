"""`python -m scumble` is the command `scumble`."""

from scumble.cli.app import main

main()
