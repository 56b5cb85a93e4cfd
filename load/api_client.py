"""A small client of the HTTP API: bearer token, JSON, problem+json errors (RFC 9457), standard library only."""

from __future__ import annotations

import http.client
import threading
import urllib.parse
from types import TracebackType
from typing import Any, Self

import msgspec


class ApiError(Exception):
    """The service answered with a problem, or not at all (status 0)."""

    def __init__(self, method: str, path: str, status: int, detail: str) -> None:
        super().__init__(f"{method} {path}: {status} {detail}" if status else f"{method} {path}: {detail}")
        self.status = status


class ApiClient:
    """One login. Calls block; `asyncio.to_thread` them. Each thread has its own connection."""

    def __init__(self, url: str, token: str | None = None, timeout_s: float = 30.0) -> None:
        parsed = urllib.parse.urlsplit(url if "//" in url else f"http://{url}")
        if parsed.scheme not in {"http", "https"} or parsed.hostname is None:
            raise ValueError(f"{url!r} is no address of an API; write http://127.0.0.1:8080")
        self._parsed = parsed
        self._timeout_s = timeout_s
        self._local = threading.local()
        self._connections: list[http.client.HTTPConnection] = []
        self.token = token

    @property
    def url(self) -> str:
        """As it was given; another client of the same API is made of it."""
        return self._parsed.geturl()

    @property
    def host_port(self) -> tuple[str, int]:
        """Where it is."""
        assert self._parsed.hostname is not None
        return self._parsed.hostname, self._parsed.port or (443 if self._parsed.scheme == "https" else 80)

    def _connection(self) -> http.client.HTTPConnection:
        found: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if found is None:
            kind = http.client.HTTPSConnection if self._parsed.scheme == "https" else http.client.HTTPConnection
            found = self._local.connection = kind(*self.host_port, timeout=self._timeout_s)
            self._connections.append(found)  # list.append is atomic: threads need no lock for it
        return found

    def request(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> bytes:
        """One request, raw answer; `headers` go before those of this client, its token too. Octets are sent as they are, under the
        Content-Type that they are given with.

        Raises: ApiError: a status of 400 or above, or no answer.
        """
        sent = {"Accept": "application/json", **(headers or {})}
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        payload = body if isinstance(body, bytes) else None
        if body is not None and payload is None:
            payload, sent["Content-Type"] = msgspec.json.encode(body), "application/json"
        for attempt in (1, 2):
            connection = self._connection()
            try:
                connection.request(method, self._parsed.path.rstrip("/") + path, payload, sent)
                response = connection.getresponse()
                answer = response.read()
                break
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as fault:
                # The server closed an idle connection just then; a fresh one tells whether it is there.
                connection.close()
                if attempt == 2:
                    raise ApiError(method, path, 0, str(fault)) from fault
            except (OSError, http.client.HTTPException) as fault:
                connection.close()
                raise ApiError(method, path, 0, str(fault)) from fault
        if response.status >= 400:
            raise ApiError(method, path, response.status, _problem(answer))
        return answer

    def get(self, path: str) -> Any:
        """A JSON document."""
        return msgspec.json.decode(self.request("GET", path))

    def post(self, path: str, body: Any = None) -> Any:
        """Create or do something; None: the answer was empty."""
        answer = self.request("POST", path, {} if body is None else body)
        return msgspec.json.decode(answer) if answer else None

    def put(self, path: str, body: Any) -> Any:
        """Replace something."""
        answer = self.request("PUT", path, body)
        return msgspec.json.decode(answer) if answer else None

    def log_in(self, username: str, password: str, tenant: str | None = None) -> dict[str, Any]:
        """Log in and keep the token; tenant None: as the platform's operator."""
        body = {"username": username, "password": password} | ({"tenant": tenant} if tenant else {})
        told: dict[str, Any] = self.post("/api/v1/login", body)
        self.token = told["token"]
        return told

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics: name with labels -> value."""
        return parse_metrics(self.request("GET", "/metrics", headers={"Accept": "text/plain"}).decode())

    def close(self) -> None:
        """Close the connections of all threads; it can be used again, on new ones."""
        connections, self._connections, self._local = self._connections, [], threading.local()
        for connection in connections:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def parse_metrics(text: str) -> dict[str, float]:
    """The Prometheus text format (0.0.4), without timestamps, which we do not write."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def _problem(answer: bytes) -> str:
    """What a problem+json says, or the beginning of whatever it is."""
    try:
        document = msgspec.json.decode(answer)
        details = [str(document.get("detail") or document.get("title") or "")]
        details += [str(one.get("detail") or one) if isinstance(one, dict) else str(one) for one in document.get("errors") or []]
        return "; ".join(one for one in details if one)
    except (msgspec.DecodeError, AttributeError):
        return answer[:200].decode(errors="replace")
