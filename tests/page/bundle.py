"""The page's program as one script, made of `phone.js` and JsSIP by esbuild."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent
MODULES = FOLDER / "node_modules"


@cache
def script() -> str:
    """The text of it; without what `make install-dev` installs the test is skipped."""
    programs = sorted(MODULES.glob("@esbuild/*/bin/esbuild"))
    if not programs:
        pytest.skip("esbuild is not installed (make install-dev)")
    done = subprocess.run(
        [programs[0], FOLDER / "phone.js", "--bundle", "--format=iife", "--define:global=window", "--log-level=error"],
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()
