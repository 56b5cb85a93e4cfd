"""One worker for all end-to-end tests of a module; every test begins without legs; in the end nothing may have failed inside."""

import pytest

from tests.media.rig import Rig


@pytest.fixture(scope="module")
def running_worker(tmp_path_factory):
    rig = Rig(tmp_path_factory.mktemp("worker"))
    yield rig
    rig.end()
    log = rig.log_path.read_text()
    assert "failed (" not in log, log  # what the worker's loop catches so that one leg cannot silence the others


@pytest.fixture
def rig(running_worker):
    yield running_worker
    running_worker.clear()
