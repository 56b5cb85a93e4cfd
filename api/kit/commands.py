"""What a subcommand of `fernamt` is: an object named by an entry point of the group `fernamt.commands` (house plug-in rule)."""

from __future__ import annotations

import argparse
from typing import Protocol

GROUP = "fernamt.commands"


class Command(Protocol):
    """One subcommand; the entry point's name is what one types."""

    help: str
    """One line for `fernamt --help`."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's own arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; returns the exit status."""
