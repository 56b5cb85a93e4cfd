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
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that share a world are run by one worker, one after the other: `--dist loadgroup` looks for the group's name behind the `@`.

    xdist 3.8 writes it where pytest 9.2 no longer looks for it, and each worker made each world anew.
    """
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        group = group_of(item)
        if group is not None and not item.nodeid.endswith(f"@{group}"):
            item._id = type(item._id).parse(f"{item.nodeid}@{group}")


def group_of(item: pytest.Item) -> str | None:
    """The name of the tests that are run together with this one."""
    mark = item.get_closest_marker("xdist_group")
    return None if mark is None else str(mark.args[0])


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
