"""`python -m load`: the same as `fernamt load`, and for a process that starts it: `--parent PID`, to end with it."""

import argparse
import sys

from load.command import command
from load.parent import end_with
from media.io.descriptors import close_inherited


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="fernamt load", description=command.help)
    command.add_arguments(parser)
    parser.add_argument("--parent", type=int, help="process to end with, however it ends")
    args = parser.parse_args()
    if args.parent is not None:
        close_inherited()
        end_with(args.parent)
    return command.run(args)


if __name__ == "__main__":
    sys.exit(main())
