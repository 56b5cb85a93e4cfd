"""`python -m load`: the same as `fernamt load`."""

import argparse
import sys

from load.command import command


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="fernamt load", description=command.help)
    command.add_arguments(parser)
    return command.run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
