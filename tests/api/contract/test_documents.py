"""The documents of the contract: nothing in OpenAPI is untyped but what has a reason, and AsyncAPI is what its own schema asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from fastapi import FastAPI
from fastapi.routing import APIWebSocketRoute

from api.billing.service import house_tariff
from api.contract import SUBPROTOCOL, VERSION
from api.contract import openapi as contract
from api.contract import sockets as said
from api.contract.asyncapi import asyncapi
from api.contract.openness import is_closed, open_answers, reached
from api.slices import SLICES
from api.telephony import stream
from api.version import VERSION as RELEASE
from billing_cdr.tariff import parse
from tests.api.conftest import Service
from tests.schemas import check, of_openapi, untyped
from tests.typescript.compiler import specification_of_asyncapi

OPEN = {
    "/components/schemas/AuditTold/properties/before": "what a change was made to: a document of any kind, as it was then",
    "/components/schemas/AuditTold/properties/after": "as before",
    "/components/schemas/AuditTold/properties/details": "of each kind of entry its own",
    "/components/schemas/EventTypeTold/properties/payload": "a JSON Schema, whose members JSON Schema says",
    "/paths//debug/state/get/responses/200": "for people who look for a fault: it promises nothing",
}
"""Where any object may stand, and why."""


@pytest.fixture(scope="module")
def document(application: FastAPI) -> dict[str, Any]:
    """As a client reads it."""
    found: dict[str, Any] = json.loads(json.dumps(application.openapi()))
    return found


def test_nothing_is_untyped_but_what_has_a_reason(document: dict[str, Any]) -> None:
    found = set(untyped(document))
    assert {at for at in found if not at.startswith(tuple(OPEN))} == set()
    assert {reason for reason in OPEN if not any(at.startswith(reason) for at in found)} == set()


def test_an_untyped_object_is_found() -> None:
    for schema in ({"type": "object"}, {"type": "object", "additionalProperties": True}, {"type": "array", "items": {}}):
        assert list(untyped({"components": {"schemas": {"Cdr": {"type": "object", "properties": {"legs": schema}}}}}))
    for schema in ({"type": "object", "additionalProperties": {"type": "string"}}, {"type": "object", "properties": {}, "default": {}}):
        assert not list(untyped(schema))


def test_components_of_the_contract_stand_in_the_document_as_they_are_and_answers_refer_to_them(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name, schema in contract.components().items():
        assert schemas[name] == json.loads(json.dumps(schema))
    assert contract.MARK not in json.dumps(schemas)
    assert schemas["CdrTold"]["properties"]["cdr"]["$ref"] == "#/components/schemas/Cdr"
    assert schemas["Explained"]["properties"]["charge"]["$ref"] == "#/components/schemas/Charge"
    assert schemas["Decisions"]["properties"]["decisions"]["items"]["$ref"] == "#/components/schemas/DecisionRecord"
    assert schemas["Done"]["properties"]["events"]["items"]["$ref"] == "#/components/schemas/Event"
    assert {one["$ref"] for one in schemas["QuoteTold"]["properties"]["quote"]["anyOf"]} == {
        "#/components/schemas/Quote",
        "#/components/schemas/NothingCharged",
    }
    live = document["paths"]["/api/v1/live"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert live["$ref"] == "#/components/schemas/LiveState"


def test_nothing_that_is_told_forbids_what_it_does_not_name(document: dict[str, Any]) -> None:
    """Within a version further fields may come: a generated client that refuses them would break at the next release."""
    schemas, operations = document["components"]["schemas"], [one for some in document["paths"].values() for one in some.values()]
    assert not [one["operationId"] for one in operations if is_closed(one["responses"])]
    told = reached(schemas, *(one["responses"] for one in operations)) | asyncapi(RELEASE)["components"]["schemas"].keys()
    assert len(told) > 200
    assert sorted(name for name in told if is_closed(schemas[name])) == []
    assert not is_closed(asyncapi(RELEASE))
    assert not [one.name for one in SLICES.events if is_closed(one.payload.model_json_schema())]


def test_what_is_given_refuses_what_it_does_not_name_and_has_its_name_as_before(document: dict[str, Any]) -> None:
    schemas, operations = document["components"]["schemas"], [one for some in document["paths"].values() for one in some.values()]
    given = reached(schemas, *(one.get("requestBody") for one in operations))
    open_ones = sorted(name for name in given if "properties" in schemas[name] and not is_closed(schemas[name]))
    assert open_ones == []
    assert {"Hours", "ToQueue", "TariffDocument", "LoginGiven"} <= given
    for name in ("Hours", "ToQueue", "TariffDocument"):
        assert set(schemas[f"{name}Told"]["properties"]) == set(schemas[name]["properties"])


def test_what_is_given_and_told_is_opened_under_a_name_of_its_own() -> None:
    inner = {"type": "object", "title": "Inner", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    outer = {"type": "object", "title": "Outer", "properties": {"inner": {"$ref": "#/components/schemas/Inner"}}}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Outer"}}}}
    found = {"paths": {"/x": {"put": {"requestBody": body, "responses": {"200": body}}}}, "components": {"schemas": {}}}
    found["components"]["schemas"] = {"Inner": inner, "Outer": outer}
    made: dict[str, Any] = json.loads(json.dumps(found))
    open_answers(made)
    assert made["paths"]["/x"]["put"]["requestBody"] == body
    assert made["paths"]["/x"]["put"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/OuterTold")
    schemas = made["components"]["schemas"]
    assert (schemas["Inner"], schemas["Outer"]) == (inner, outer)
    assert schemas["OuterTold"]["properties"]["inner"]["$ref"] == "#/components/schemas/InnerTold"
    assert "additionalProperties" not in schemas["InnerTold"]
    found["components"]["schemas"]["InnerTold"] = inner
    with pytest.raises(ValueError, match="two components InnerTold"):
        open_answers(found)


def test_every_default_is_what_its_own_schema_allows(document: dict[str, Any]) -> None:
    """A generated client fills it in, and is refused otherwise."""

    def defaults(node: Any) -> Iterator[tuple[Any, Any]]:
        for one in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from defaults(one)
        if isinstance(node, dict) and "default" in node and {"type", "anyOf", "oneOf", "allOf", "$ref", "enum"} & node.keys():
            yield {key: one for key, one in node.items() if key != "default"}, node["default"]

    found = list(defaults(document))
    assert len(found) > 100
    whole = {"components": document["components"]}
    assert [one for one in found if not jsonschema_rs.Draft202012Validator({**one[0], **whole}).is_valid(one[1])] == []


def test_no_component_is_named_by_the_module_it_comes_from(document: dict[str, Any]) -> None:
    """Where two models have one name, the name that clients see of either would change with the next one."""
    assert [name for name in document["components"]["schemas"] if "__" in name] == []


def test_a_plan_is_described_as_it_is_read() -> None:
    """The plan of the house is one, and every key there is in the description is one that the reader knows."""
    check(of_openapi("TariffDocument"), house_tariff().document)
    rate = {"prefix": "33", "name": {"de": "Frankreich", "en": "France"}, "class": "international", "regions": ["FR"], "cap": "9"}
    rate |= {"per_minute": {"day": "0.02", "rest": 0}, "increment": "60/1", "free_s": 5, "setup": "0.1", "minimum": 0, "cut_after_s": 3600}
    plan = {"id": "acme", "version": "1", "currency": "EUR", "valid_from": "2026-01-01T00:00:00+01:00", "zone": "Europe/Vienna"}
    plan |= {"vat_rate": "0.19", "vat_included": False, "increment": "60/60", "precision": "0.0001", "rounding": "up", "rest_band": "rest"}
    plan |= {"holidays": ["2026-12-25"], "band": [{"name": "day", "days": ["mon", "holiday"], "from": "08:00", "to": "24:00"}]}
    plan["rate"] = [rate | {"vat_included": True, "free": False}]
    components = contract.components()
    for told, name in ((plan, "TariffDocument"), (plan["rate"][0], "TariffRate"), (plan["band"][0], "TariffBand")):
        assert set(told) == set(components[name]["properties"])
    check(of_openapi("TariffDocument"), plan)
    assert [one.prefix for one in parse(plan).rates] == ["33"]


def test_two_components_of_one_name_are_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="two components"):
        contract.enter(document)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for one in (document, asyncapi(RELEASE)):
        for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(one)):
            at: Any = one
            for part in reference.split("/"):
                at = at[part]


def test_the_version_is_said(document: dict[str, Any]) -> None:
    assert document["info"]["version"] == asyncapi(RELEASE)["info"]["version"] == RELEASE
    assert document["info"]["x-contract-version"] == asyncapi(RELEASE)["info"]["x-contract-version"] == str(VERSION) == "1"
    assert SUBPROTOCOL == "fernamt.v1"


def test_fields_are_described_by_the_texts_under_them(document: dict[str, Any]) -> None:
    leg = document["components"]["schemas"]["CdrLeg"]["properties"]
    assert leg["billable_ms"]["description"] == "From the answer to the end; 0 if nobody answered."
    undescribed = [name for name, one in contract.components().items() if not one.get("description")]
    assert not undescribed, "\n".join(map(str, undescribed))


# ---------------------------------------------------------------------- AsyncAPI


def test_asyncapi_is_valid_by_the_schema_of_its_makers() -> None:
    judge = jsonschema_rs.Draft7Validator(specification_of_asyncapi())
    document = asyncapi(RELEASE)
    assert [f"{'/'.join(map(str, one.instance_path))}: {one.message[:300]}" for one in judge.iter_errors(document)] == []
    document["channels"]["events"]["messages"] = ["live"]
    assert not judge.is_valid(document)


def test_asyncapi_tells_of_every_websocket_and_of_every_code_it_closes_with() -> None:
    document = asyncapi(RELEASE)
    sockets = {route.path for route in stream.router.routes if isinstance(route, APIWebSocketRoute)}
    assert {one["address"] for one in document["channels"].values()} == sockets
    in_the_code = set(map(int, re.findall(r"\b(?:1[0-9]{3}|4[0-9]{3})\b", Path(said.__file__).read_text().split("CLOSE_CODES")[0])))
    assert {one["code"] for one in document["x-close-codes"]} == in_the_code
    assert {"bearer", "subprotocol"} == set(document["components"]["securitySchemes"])
    assert {one["protocol"] for one in document["servers"].values()} == {"ws", "wss"}
    assert "is not told later" in document["info"]["description"]


async def test_anybody_may_read_the_documents(service: Service) -> None:
    told = (await service.client.get("/api/v1/asyncapi.json")).json()
    assert told == json.loads(json.dumps(asyncapi(RELEASE)))
    page = (await service.client.get("/docs/sockets")).text
    for name in told["components"]["schemas"]:
        assert f'id="{name}"' in page
    for one in told["x-close-codes"]:
        assert one["meaning"] in page
    assert 'href="/docs/sockets"' in (await service.client.get("/docs")).text
