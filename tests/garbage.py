"""What only the cycle collector would find: it looks seldom in the service, so nothing that comes with every request may be left to it."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OURS = ("acd", "api", "billing_cdr", "media", "sip")


def _is_ours(found: Any) -> bool:
    """An object of our classes, a function of our modules, or a running one of our files."""
    module = found.__module__ if callable(found) and hasattr(found, "__qualname__") else type(found).__module__
    code = next(
        (code for name in ("f_code", "cr_code", "gi_code", "ag_code") if isinstance(code := getattr(found, name, None), CodeType)), None
    )
    if code is not None:
        file = Path(code.co_filename)
        return file.is_relative_to(ROOT) and file.relative_to(ROOT).parts[0] in OURS
    return str(module).partition(".")[0] in OURS


@contextmanager
def none_of_ours_left() -> Iterator[None]:
    """Whatever of ours the block drops must be gone without the collector."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = [repr(found)[:200] for found in gc.garbage if _is_ours(found)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        if was_on:
            gc.enable()
    assert left == []
