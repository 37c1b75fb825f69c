"""The ``tuner`` command."""

import logging
import sys


def main() -> None:
    """The console script.

    It imports the commands only when called: worker processes import their parent's main module
    again, and need none of them.
    """
    try:
        from tuner.cli.app import app

        logging.basicConfig(format="tuner: %(message)s", level=logging.WARNING, stream=sys.stderr)
        app()
    except KeyboardInterrupt:
        sys.exit(130)
