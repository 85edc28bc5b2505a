"""``python -m gapremoval`` is the command ``gapremoval``."""

from .cli import main

main()
