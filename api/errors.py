"""Errors as RFC 9457 problem documents: the tree every slice's errors grow on, and the handlers that answer with them.

- `Problem`: root; carries status, type and what the client is told
  - `Unauthenticated` 401, `Forbidden` 403, `NotFound` 404, `NotAllowed` 405, `Conflict` 409, `Gone` 410, `Outdated` 412,
    `BodyTooLarge` 413, `TargetTooLong` 414, `RangeNotSatisfiable` 416, `Unprocessable` 422, `TooMany` 429 (`TooManyConnections`),
    `HeadTooLarge` 431, `Unavailable` 503
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from acd.bus import Unanswered
from acd.errors import JournalStopped
from billing_cdr.outage import DISK_ERRNOS, Unreachable, outage_of

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPES = "urn:fernamt:problem:"
RETRY_AFTER_S = 5
"""What a client is told to wait when something is away."""


MOST_PLACES = 50
"""More wrong places than anybody mends in one go."""


class Place(BaseModel):
    """One thing that is wrong."""

    detail: str
    pointer: str | None = None
    """JSON pointer into the request body (RFC 6901), as a URI fragment."""
    parameter: str | None = None
    """Name of the query, path or header parameter."""


class ProblemDocument(BaseModel):
    """RFC 9457 §3.1."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[Place] = []


class Problem(Exception):
    """Something the client is told in so many words."""

    status = 500
    kind = "internal"
    title = "Internal error"

    def __init__(self, detail: str, errors: Sequence[Place] = (), headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})


class Unauthenticated(Problem):
    """No token, or one that does not hold."""

    status, kind, title = 401, "unauthenticated", "Log in first"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="fernamt"'})


class Forbidden(Problem):
    """The role does not allow it."""

    status, kind, title = 403, "forbidden", "Not allowed"


class NotFound(Problem):
    """There is no such thing (for this tenant)."""

    status, kind, title = 404, "not-found", "Not found"


class NotAllowed(Problem):
    """The path is there, the method is not."""

    status, kind, title = 405, "method-not-allowed", "Method Not Allowed"

    def __init__(self, allowed: Iterable[str]) -> None:
        listed = ", ".join(sorted(allowed))
        super().__init__(f"Allowed are {listed}.", headers={"Allow": listed})


class Conflict(Problem):
    """It does not fit the present state."""

    status, kind, title = 409, "conflict", "Conflict"


class Gone(Problem):
    """It was there, and will not be again."""

    status, kind, title = 410, "gone", "Gone"


class Outdated(Problem):
    """If-Match names a version that is no longer the present one."""

    status, kind, title = 412, "outdated", "Changed in the meantime"


class BodyTooLarge(Problem):
    """More octets than the route takes."""

    status, kind, title = 413, "body-too-large", "The body is too large"


class TargetTooLong(Problem):
    """Path and query have too many octets."""

    status, kind, title = 414, "target-too-long", "The address is too long"


class HeadTooLarge(Problem):
    """The header has too many fields or octets (RFC 6585 §5)."""

    status, kind, title = 431, "head-too-large", "The header is too large"


class RangeNotSatisfiable(Problem):
    """None of the octets that are asked for is there (RFC 9110 §15.5.17)."""

    status, kind, title = 416, "range-not-satisfiable", "Range not satisfiable"

    def __init__(self, octets: int) -> None:
        super().__init__(f"There are {octets} octets.", headers={"Content-Range": f"bytes */{octets}"})


class Unprocessable(Problem):
    """The payload is wrong."""

    status, kind, title = 422, "invalid", "Invalid request"


class TooMany(Problem):
    """Too often."""

    status, kind, title = 429, "too-many-requests", "Too many requests"

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)})


def spell_wait(seconds: int) -> str:
    """`30 s`, `15 min`, `24 h`: how long, for people, rounded up."""
    for unit, of_it in (("h", 3600), ("min", 60)):
        if seconds >= 2 * of_it:
            return f"{-(-seconds // of_it)} {unit}"
    return f"{seconds} s"


class TooManyConnections(TooMany):
    """One user holds too many connections."""

    def __init__(self) -> None:
        super().__init__("This user holds too many connections already; close some, or use one for several requests.", RETRY_AFTER_S)


class TooManyOfTenant(TooMany):
    """The users and keys of one tenant hold too many connections together."""

    def __init__(self) -> None:
        super().__init__("The users and keys of this tenant hold too many connections already.", RETRY_AFTER_S)


class Unavailable(Problem):
    """Something that is needed is away, and will be back."""

    status, kind, title = 503, "unavailable", "Not available at the moment"

    def __init__(self, detail: str, retry_after_s: int = RETRY_AFTER_S) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after_s)})


def unavailable(error: BaseException) -> Unavailable | None:
    """What a client is told when a database or the disk is away; None: it is a fault of ours.

    The reason is the operator's: it names hosts and paths, and is in the log and under /readyz.
    """
    if isinstance(error, Unreachable | DBAPIError | PoolTimeout):
        return Unavailable("The database is away; try again soon.") if outage_of(error) is not None else None
    if isinstance(error, Unanswered):
        return Unavailable("The voice service gives no answer; try again soon.")
    if isinstance(error, JournalStopped):
        return Unavailable("The exchange cannot write its journal; nothing is decided until it can.")
    if isinstance(error, ConnectionError) or (isinstance(error, OSError) and error.errno in DISK_ERRNOS):
        return Unavailable("The disk or a server is away; try again soon.")
    return None


def answer(
    request: HTTPConnection,
    *,
    status: int,
    kind: str,
    title: str,
    detail: str,
    errors: Sequence[Place] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The problem document as a response."""
    document = ProblemDocument(type=TYPES + kind, title=title, status=status, detail=detail, instance=request.url.path, errors=list(errors))
    return JSONResponse(document.model_dump(exclude_none=True), status, dict(headers or {}), MEDIA_TYPE)


def of(request: HTTPConnection, problem: Problem) -> JSONResponse:
    """Answer with a problem of the tree."""
    return answer(
        request,
        status=problem.status,
        kind=problem.kind,
        title=problem.title,
        detail=problem.detail,
        errors=problem.errors,
        headers=problem.headers,
    )


_TOO_FEW_OR_MANY = re.compile(r"\w+ should have (at (?:least|most) \d+ items?) after validation, not (\d+|more)(?: than .*)?")


def sentence(message: str) -> str:
    """What pydantic says, as people say it: `there must be at least 1 item, and there are 0`."""
    counted = _TOO_FEW_OR_MANY.fullmatch(message)
    if counted is not None:
        return f"there must be {counted[1]}, and there are {counted[2]}"
    return message.removeprefix("Value error, ")


def _place(error: Mapping[str, Any]) -> Place:
    where, *path = error["loc"] or ("body",)
    message = sentence(str(error["msg"]))
    if where == "body":
        steps = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
        return Place(detail=message, pointer="#" + steps)
    return Place(detail=message, parameter=".".join(str(step) for step in path))


def invalid(errors: Sequence[Mapping[str, Any]]) -> Unprocessable:
    """Errors of pydantic as a problem that names every place."""
    places = [_place(error) for error in errors[:MOST_PLACES]]
    return Unprocessable("; ".join(f"{p.pointer or p.parameter}: {p.detail}" for p in places[:5]) or "invalid", places)


async def _on_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return of(request, error)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return of(request, invalid(error.errors()))


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    title = HTTPStatus(error.status_code).phrase
    kind = title.lower().replace(" ", "-")
    return answer(request, status=error.status_code, kind=kind, title=title, detail=str(error.detail), headers=error.headers)


async def _on_integrity(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, IntegrityError)
    log.info("< %s %s broke a constraint: %s", request.method, request.url.path, _constraint(error))
    return of(request, Conflict("Somebody else's change came first, or the thing is in use."))


def _constraint(error: IntegrityError) -> str:
    """What the database says of it, without the values: PostgreSQL has them in a second line, MariaDB between quotes."""
    return re.sub(r"entry '.*?' for key", "entry for key", (str(error.orig).splitlines() or [""])[0])


async def _on_outage(request: Request, error: Exception) -> JSONResponse:
    problem = unavailable(error)
    if problem is None:
        raise error
    if isinstance(error, OSError):  # what concerns databases is said once, by `api.outages`
        log.error("! %s %s: %s", request.method, request.url.path, error)
    return of(request, problem)


async def _on_bug(request: Request, error: Exception) -> JSONResponse:
    log.error("! %s %s", request.method, request.url.path, exc_info=error)
    return answer(request, status=500, kind="internal", title="Internal error", detail="Something here went wrong; it was logged.")


def install(app: FastAPI) -> None:
    """Let every error of the application leave as a problem document."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(IntegrityError, _on_integrity)
    for outage in (Unreachable, DBAPIError, PoolTimeout, OSError, JournalStopped, Unanswered):
        app.add_exception_handler(outage, _on_outage)
    app.add_exception_handler(Exception, _on_bug)


def responses(*problems: type[Problem]) -> dict[int | str, dict[str, Any]]:
    """What a route can answer besides its success, for OpenAPI."""
    return {
        problem.status: {
            "description": problem.title,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
        }
        for problem in problems
    }
