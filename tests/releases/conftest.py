"""Vectors are unpacked once."""

import pytest

from tests.releases.read_again import Unpacked
from tests.releases.vectors import Vector


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Unpacked:
    folders = {}

    def folder_of(vector: Vector):
        if vector not in folders:
            folders[vector] = vector.unpack(tmp_path_factory.mktemp(str(vector)))
        return folders[vector]

    return folder_of
