"""What every answer has in common: problems, metrics, health, the page, the OpenAPI document."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from api.metrics import families
from tests.api.conftest import Service

MEMBERS = {"type", "title", "status", "detail", "instance", "errors"}


class TestProblems:
    async def test_every_error_is_a_problem_document(self, acme: Service) -> None:
        """RFC 9457 §3.1."""
        answers = {
            401: await acme.call("GET", "me", None),
            403: await acme.call("GET", "users", "operator"),
            404: await acme.call("GET", "/nowhere"),
            405: await acme.call("PUT", "/healthz"),
            409: await acme.call("POST", "users", json={"id": "admin", "name": "x", "role": "admin"}),
            422: await acme.call("POST", "users", json={"id": "A B", "name": ""}),
        }
        for status, answer in answers.items():
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"
            document = answer.json()
            assert set(document) == MEMBERS
            assert document["status"] == status
            assert document["instance"] == answer.request.url.path

    async def test_validation_names_every_place(self, acme: Service) -> None:
        document = (await acme.call("POST", "users", json={"id": "A B", "name": "", "role": "king"})).json()
        assert {error["pointer"] for error in document["errors"]} == {"#/id", "#/name", "#/role"}
        document = (await acme.call("GET", "users?limit=0")).json()
        assert [error["parameter"] for error in document["errors"]] == ["limit"]

    async def test_broken_json_is_422(self, acme: Service) -> None:
        answer = await acme.call("POST", "users", content=b"{", headers={"Content-Type": "application/json"})
        assert answer.status_code == 422

    async def test_secret_of_a_bad_login_is_not_repeated(self, acme: Service) -> None:
        answer = await acme.client.post("/api/v1/login", json={"username": "x", "password": ["geheim"]})
        assert answer.status_code == 422
        assert "geheim" not in answer.text


class TestMetrics:
    async def test_page_is_in_the_text_format_and_has_both_sides(self, acme: Service) -> None:
        await acme.call("GET", "me")
        found = {family.name: family for family in text_string_to_metric_families((await acme.client.get("/metrics")).text)}
        assert found["fernamt_legs"].type == "gauge"
        assert found["fernamt_inputs"].type == "counter"
        assert [sample.labels for sample in found["fernamt_inputs"].samples] == [{"tenant": "acme"}]
        counted = {
            (s.labels["route"], s.labels["status"]): s.value for s in found["fernamt_http_requests"].samples if s.name.endswith("_total")
        }
        assert counted["/api/v1/me", "200"] == 1.0

    async def test_paths_never_become_labels(self, acme: Service) -> None:
        for number in range(5):
            await acme.call("GET", f"agents/nobody{number}")
            await acme.call("GET", f"/elsewhere/{number}")
        page = (await acme.client.get("/metrics")).text
        samples = [line for line in page.splitlines() if not line.startswith("#")]
        assert len(samples) > 50
        assert not [line for line in samples if "nobody" in line or "elsewhere" in line]

    def test_figures_with_labels_are_grouped_by_family(self) -> None:
        found = {family.name: family for family in families({'a_total{x="1"}': 1, "b": 2.5, 'a_total{x="2"}': 3})}
        assert {name: family.type for name, family in found.items()} == {"a": "counter", "b": "gauge"}
        assert [(sample.labels, sample.value) for sample in found["a"].samples] == [({"x": "1"}, 1.0), ({"x": "2"}, 3.0)]


class TestHealth:
    async def test_alive_and_ready(self, service: Service) -> None:
        assert (await service.client.get("/healthz")).json() == {"status": "ok"}
        assert (await service.client.get("/readyz")).json() == {"status": "ready"}

    async def test_not_ready_before_the_tenants_are_open(self, service: Service) -> None:
        service.shared.ready = False
        assert (await service.client.get("/readyz")).status_code == 503

    async def test_state_is_for_admins(self, staffed: Service) -> None:
        assert (await staffed.call("GET", "/debug/state", "supervisor")).status_code == 403
        assert "core" in (await staffed.call("GET", "/debug/state")).json()


class TestPage:
    async def test_page_and_its_parts_are_served_without_a_token(self, service: Service) -> None:
        page = await service.client.get("/")
        assert page.status_code == 200
        assert 'lang="de"' in page.text
        assert "default-src 'self'" in page.headers["content-security-policy"]
        for part in ("board.js", "desk.js", "board.css", "words.js"):
            assert part in page.text
            assert (await service.client.get(f"/{part}")).status_code == 200

    async def test_nothing_is_prefilled_outside_the_demonstration(self, service: Service) -> None:
        assert (await service.client.get("/api/v1/demo")).json() == {"demo": False}

    async def test_no_folder_but_its_own_is_served(self, service: Service) -> None:
        for path in ("/../app.py", "/..%2fapp.py", "/%2e%2e/app.py"):
            assert (await service.client.get(path)).status_code == 404


class TestOpenApi:
    async def test_every_operation_has_an_id_a_tag_and_a_summary(self, service: Service) -> None:
        document = (await service.client.get("/openapi.json")).json()
        operations = [operation for path in document["paths"].values() for operation in path.values()]
        ids = [operation["operationId"] for operation in operations]
        assert len(ids) == len(set(ids)) > 80
        assert all(operation["tags"] and operation["summary"] for operation in operations)

    async def test_every_reference_leads_somewhere(self, service: Service) -> None:
        text = (await service.client.get("/openapi.json")).text
        document = (await service.client.get("/openapi.json")).json()
        referred = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
        assert referred <= set(document["components"]["schemas"])

    async def test_errors_are_declared_as_problem_documents(self, service: Service) -> None:
        document = (await service.client.get("/openapi.json")).json()
        for path, operations in document["paths"].items():
            for operation in operations.values():
                for status, response in operation["responses"].items():
                    if status.startswith("4"):
                        assert list(response["content"]) == ["application/problem+json"], (path, status)

    async def test_request_bodies_have_examples(self, service: Service) -> None:
        document = (await service.client.get("/openapi.json")).json()
        schemas = document["components"]["schemas"]
        wanted = ["Agent", "Queue", "Menu", "Number", "Schedule", "Site", "Trunk", "Reason", "LoginGiven", "TenantGiven", "TariffGiven"]
        assert all(schemas[name].get("examples") for name in wanted)
