"""Every test of the core ends with a restart: what its shells wrote is read, and leads to the state that they ended in."""

from collections.abc import Iterator

import pytest

from tests.acd.core.shell import OPEN
from tests.words import same_when_read


@pytest.fixture(autouse=True)
def what_was_written_is_read() -> Iterator[None]:
    yield
    shells = OPEN.copy()
    OPEN.clear()
    for shell in shells:
        shell.read_back()
        for entry in shell.journal:
            same_when_read(entry)
