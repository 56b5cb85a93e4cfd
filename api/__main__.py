"""`fernamt`: finds its subcommands by the entry-point group `fernamt.commands`, so that nothing here knows them all."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points

from acd.data_modes import private
from api.kit.commands import GROUP, Command

INTERRUPTED = 130
"""128 and the number of SIGINT, as shells have it."""
BUILT_IN = tuple(EntryPoint(name, f"api.commands.{name}:command", GROUP) for name in ("run", "journal", "secrets"))
"""What is there also without an installed distribution (`python -m api run`)."""


def commands() -> dict[str, EntryPoint]:
    """Name -> entry point."""
    return {entry.name: entry for entry in (*BUILT_IN, *entry_points(group=GROUP))}


@contextmanager
def _loading() -> Iterator[None]:
    """Import without what makes it slow: the collector, which would walk all that came so far again and again and find nothing (a fifth
    of the time), and threads for products of matrices larger than any here, which numpy's OpenBLAS would start on every core.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns its exit status, 130 after Ctrl-C."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return INTERRUPTED


def _run(arguments: Sequence[str] | None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    known = commands()
    parser = argparse.ArgumentParser(prog="fernamt", description="A telephony-centric virtual ACD and voice service.")
    subparsers = parser.add_subparsers(dest="command", metavar="command", required=True)
    # Only the command that is meant is imported: `fernamt run` needs no plotting library.
    meant = {given[0]: known[given[0]]} if given and given[0] in known else known
    loaded: dict[str, Command] = {}
    with _loading():
        for name, entry in sorted(meant.items()):
            try:
                loaded[name] = entry.load()
            except ImportError as error:
                if len(meant) == 1:
                    raise
                subparsers.add_parser(name, help=f"not available: {error}")
                continue
            loaded[name].add_arguments(subparsers.add_parser(name, help=loaded[name].help, description=loaded[name].help))
    parsed = parser.parse_args(given)
    with private():  # what a command writes is nobody else's to read
        return loaded[parsed.command].run(parsed)


if __name__ == "__main__":
    sys.exit(main())
