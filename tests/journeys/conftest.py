"""Where the journeys keep their databases: each on SQLite, PostgreSQL and MariaDB."""

import pytest

from tests.servers import DATABASES, databases_to_test, server


@pytest.fixture(params=DATABASES)
def database_settings(request, tmp_path) -> dict[str, str]:
    """Settings of a service on a fresh control database and fresh tenant databases of this kind."""
    kind = request.param
    if kind not in databases_to_test():
        pytest.skip(f"{kind} is not among FERNAMT_TEST_DATABASES")
    if kind == "sqlite":
        return {}
    running = server(kind)
    name = f"fernamt_{abs(hash(tmp_path)) % 10**9}"
    return {
        "FERNAMT_DATABASE__CONTROL": running.url(f"{name}_control"),
        "FERNAMT_DATABASE__TENANT_URL": running.url(f"{name}_{{tenant}}"),
    }
