"""What holds for every test process: it compiles and it collects what is its own, not the same things again and again."""

import gc
import os
import sys

import pytest

# Images of containers say so to stay small. Here a hundred processes are started, and each would compile all of the service anew.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    sys.dont_write_bytecode = False

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the service does (`api.__main__`): no threads for matrices that nobody has

gc.disable()  # until everything is collected: none of it is garbage, and to walk it as it grows takes a third of that time


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Modules and tests stay to the end. The collector looks at what comes after them: tests that ask for garbage need no second each."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="module")
def only_what_is_new() -> None:
    """For modules whose tests ask the collector again and again: what other modules left is no concern of theirs, and would be walked."""
    gc.collect()
    gc.freeze()
