"""One worker for all end-to-end tests of a module; every test begins without legs."""

import pytest

from tests.media.rig import Rig


@pytest.fixture(scope="module")
def running_worker(tmp_path_factory):
    rig = Rig(tmp_path_factory.mktemp("worker"))
    yield rig
    rig.end()


@pytest.fixture
def rig(running_worker):
    yield running_worker
    running_worker.clear()
