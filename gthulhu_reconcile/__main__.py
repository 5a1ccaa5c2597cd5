"""``python -m gthulhu_reconcile``."""

from gthulhu_reconcile.cli.main import main

if __name__ == "__main__":
    main()
