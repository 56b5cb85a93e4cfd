"""Guess passwords at every door while their owner works: `python -m load.guessing --seconds 300` (house; against a private instance).

Attackers at `--attackers` addresses of 127.0.0.0/8 try passwords of one user by REGISTER and INVITE over UDP and TCP and by log-in over
HTTP, each with the nonce it was given, as fast as `--rate` lets them. Whenever one is told to come again it presents the right password,
which must look no different. The owner registers and logs in from an address of the own all the while.

It passes when no more guesses were judged than the allowance gives, the right password was not found out, the owner always got in, and
the security log holds each attempt. Bans are off unless `--bans` is given: what is tried is the throttle alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acd.guard import GuardPolicy
from acd.guard import line as security_line
from load.api_client import ApiClient, ApiError
from load.command import EXIT_FAILED, EXIT_NOT_RUN, EXIT_PASSED
from load.phones import RegistrationFailed, SyntheticPhone
from load.private_instance import InstanceFailed, PrivateInstance, private_instance
from sip.digest import ClientDigest, DigestCredentials
from sip.errors import ParseError
from sip.flow import HostPort
from sip.message import Request, Response
from sip.parser import StreamParser, parse_datagram
from sip.uri import Uri

TENANT, OWNER = "guessed", "owner"
HOME = "127.0.0.1"
ANSWER_S = 2.0
"""A request that got no answer for so long: dropped, or banned."""
OWNER_EVERY_S = 1.0
PROBE_AFTER_S = 3
"""The right password is presented when the wait is so long that it cannot be over meanwhile."""
INVITE_EVERY = 10
GRACE_S = 20.0
"""A machine that is busy with other things may take so much longer to make anybody wait."""


@dataclass
class Target:
    """What is guessed at."""

    sip: HostPort
    http: HostPort
    device: str
    realm: str
    device_password: str
    web_password: str


@dataclass
class Tally:
    """What attackers and owner saw."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(door, answer) -> how often; answer is wrong, waits, right, stale, silence."""
    probes: int = 0
    """The right password, presented while it had to wait."""
    probes_that_differed: int = 0
    owner: Counter[str] = field(default_factory=Counter)
    slowest_owner_s: float = 0.0


@dataclass
class Figures:
    """What is reported; `problems` is empty when it passed."""

    seconds: float
    sent: dict[str, int]
    judged: dict[str, int]
    throttled: dict[str, int]
    allowed: int
    found: int
    probes: int
    owner: dict[str, int]
    slowest_owner_ms: float
    logged: dict[str, int]
    banned: int
    problems: list[str]


# ---------------------------------------------------------------------- one attacker at a door


Exchange = Callable[[Request], Awaitable[Response | None]]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answers: asyncio.Queue[Response] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        del addr
        with suppress(ParseError):
            message = parse_datagram(data)
            if isinstance(message, Response):
                self.answers.put_nowait(message)


async def _answer_to(request: Request, answers: Callable[[], Awaitable[Response]]) -> Response | None:
    """The final response to this request; late ones of others are passed over."""
    with suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            while True:
                response = await answers()
                if response.cseq == request.cseq and response.call_id == request.call_id and response.status >= 200:
                    return response
    return None


@asynccontextmanager
async def _over_udp(source: str, target: Target) -> AsyncIterator[Exchange]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(_Datagrams, local_addr=(source, 0), remote_addr=target.sip)

    async def exchange(request: Request) -> Response | None:
        transport.sendto(request.to_bytes())
        return await _answer_to(request, protocol.answers.get)

    try:
        yield exchange
    finally:
        transport.close()


@asynccontextmanager
async def _over_tcp(source: str, target: Target) -> AsyncIterator[Exchange]:
    reader, writer = await asyncio.open_connection(*target.sip, local_addr=(source, 0))
    parser, waiting = StreamParser(), list[Response]()

    async def next_response() -> Response:
        while not waiting:
            data = await reader.read(65_536)
            if not data:
                raise ConnectionResetError("closed by the service")
            waiting.extend(item for item in parser.feed(data) if isinstance(item, Response))
        return waiting.pop(0)

    async def exchange(request: Request) -> Response | None:
        writer.write(request.to_bytes())
        return await _answer_to(request, next_response)

    try:
        yield exchange
    finally:
        writer.close()


class SipAttacker:
    """Guesses a device's password with the nonce that was issued to its address."""

    def __init__(self, door: str, exchange: Exchange, source: str, target: Target, tally: Tally) -> None:
        self._door, self._exchange, self._source, self._target, self._tally = door, exchange, source, target, tally
        self._call_id = secrets.token_hex(8)
        self._number = 0
        self._nonce: ClientDigest | None = None

    async def guess(self, password: str) -> int:
        """One guess. Returns: the seconds it was told to wait, else 0."""
        if self._nonce is None:
            await self._be_challenged()
            return 0
        answer = await self._present(password)
        if answer is None:
            self._tally.answers[self._door, "silence"] += 1
            return 0
        if answer.status == 503:
            self._tally.answers[self._door, "waits"] += 1
            return int(answer.headers.get("Retry-After") or 0)
        if answer.status == 401:
            is_stale = "stale=true" in (answer.headers.get("WWW-Authenticate") or "")
            self._tally.answers[self._door, "stale" if is_stale else "wrong"] += 1
            self._learn(answer)
        else:
            self._tally.answers[self._door, "right"] += 1
        return 0

    async def _be_challenged(self) -> None:
        answer = await self._exchange(self._request("REGISTER", None))
        if answer is not None and answer.status == 401:
            self._learn(answer)

    def _learn(self, answer: Response) -> None:
        self._nonce = ClientDigest(DigestCredentials(self._target.device, ""))
        self._nonce.learn(answer)

    async def _present(self, password: str) -> Response | None:
        assert self._nonce is not None
        self._nonce.credentials = DigestCredentials(self._target.device, password)
        method = "REGISTER" if self._number % INVITE_EVERY or self._door == "tcp" else "INVITE"
        return await self._exchange(self._request(method, self._nonce))

    def _request(self, method: str, digest: ClientDigest | None) -> Request:
        self._number += 1
        target, us = self._target, f"<sip:{self._target.device}@{self._source}>"
        uri = Uri("sip", None if method == "REGISTER" else "601", target.realm)
        transport = self._door.upper()
        fields = [
            ("Via", f"SIP/2.0/{transport} {self._source};rport;branch=z9hG4bK{secrets.token_hex(8)}"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{target.device}@{target.realm}>;tag={self._call_id}"),
            ("To", f"<sip:{target.device}@{target.realm}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._number} {method}"),
            ("Contact", us),
        ]
        if digest is not None:
            fields += digest.headers(method, uri, secrets.token_hex(4))
        return Request.build(method, uri, fields)


class WebAttacker:
    """Guesses a user's password at `POST /login` over one connection."""

    def __init__(self, source: str, target: Target, tally: Tally) -> None:
        self._source, self._target, self._tally = source, target, tally
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def guess(self, password: str) -> int:
        """One guess. Returns: the seconds it was told to wait, else 0."""
        status, wait_s = await self._post({"tenant": TENANT, "username": OWNER, "password": password})
        answer = {200: "right", 401: "wrong", 429: "waits"}.get(status, f"status {status}")
        self._tally.answers["web", answer] += 1
        return wait_s

    async def _post(self, body: dict[str, str]) -> tuple[int, int]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._target.http, local_addr=(self._source, 0))
        reader, writer = self._streams
        payload = json.dumps(body).encode()
        head = f"POST /api/v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        writer.write(head.encode() + payload)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        lines = answer.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        await reader.readexactly(int(headers.get("content-length", "0")))
        return int(lines[0].split()[1]), int(headers.get("retry-after", "0"))

    def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()


async def attack(attacker: SipAttacker | WebAttacker, right: str, until: float, rate: float, tally: Tally, door: str) -> None:
    """Guess until the time is over; present the right password whenever a wrong one has to wait."""
    clock = asyncio.get_running_loop().time
    while clock() < until or (not tally.probes and clock() < until + GRACE_S):
        wait_s = await attacker.guess(secrets.token_urlsafe(9))
        if wait_s >= PROBE_AFTER_S:
            found = tally.answers[door, "right"]
            again_s = await attacker.guess(right)
            tally.probes += 1
            tally.probes_that_differed += tally.answers[door, "right"] > found or not 0 < again_s <= wait_s
        await asyncio.sleep(1 / rate)


# ---------------------------------------------------------------------- the owner


async def own(instance: PrivateInstance, target: Target, until: float, tally: Tally) -> None:
    """Register and log in again and again, as a phone and a person at home do."""
    loop = asyncio.get_running_loop()
    with ApiClient(instance.url) as api:
        while loop.time() < until:
            began = loop.time()
            async with SyntheticPhone(
                target.sip, target.device, password=target.device_password, domain=target.realm, address=HOME
            ) as phone:
                try:
                    await phone.register(expires_s=60)
                    tally.owner["registered"] += 1
                except (RegistrationFailed, TimeoutError):
                    tally.owner["not registered"] += 1
            try:
                await asyncio.to_thread(api.log_in, OWNER, target.web_password, TENANT)
                tally.owner["logged in"] += 1
            except ApiError:
                tally.owner["not logged in"] += 1
            took_s = loop.time() - began
            tally.slowest_owner_s = max(tally.slowest_owner_s, took_s)
            await asyncio.sleep(max(0.0, OWNER_EVERY_S - took_s))


def provision(instance: PrivateInstance) -> Target:
    """A tenant with one person who has a phone; the passwords are drawn."""
    with instance.operator() as operator:
        admin = operator.post("/api/v1/tenants", {"id": TENANT, "name": "Guessed"})["admin"]
    with ApiClient(instance.url) as api:
        api.log_in("admin", admin["password"], TENANT)
        device = api.post("/api/v1/agents", {"id": OWNER, "name": "Owner", "skills": {}})["device"]
        user = api.post("/api/v1/users", {"id": OWNER, "name": "Owner", "role": "agent", "agent": OWNER})
        return Target(instance.sip, api.host_port, device["username"], device["realm"], device["password"], user["password"])


# ---------------------------------------------------------------------- the run


async def run(instance: PrivateInstance, log: Path, seconds: float, attackers: int, rate: float, policy: GuardPolicy) -> Figures:
    """Attack a private instance, then compare what was seen with what it says itself.

    Args:
        log: its security log.
        rate: guesses a second of each attacker at each door.
    """
    target, tally = await asyncio.to_thread(provision, instance), Tally()
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        home = asyncio.create_task(own(instance, target, loop.time() + 1.0, tally))  # the owner has been here before
        await home
        until, before = loop.time() + seconds, time.monotonic()
        tasks = [asyncio.create_task(own(instance, target, until, tally))]
        for number in range(attackers):
            source = f"127.0.{1 + number // 250}.{1 + number % 250}"
            for door, way in (("udp", _over_udp), ("tcp", _over_tcp)):
                sip = SipAttacker(door, await stack.enter_async_context(way(source, target)), source, target, tally)
                tasks.append(asyncio.create_task(attack(sip, target.device_password, until, rate, tally, door)))
            web = WebAttacker(source, target, tally)
            stack.callback(web.close)
            tasks.append(asyncio.create_task(attack(web, target.web_password, until, rate, tally, "web")))
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, BaseException):
                tally.answers["all", f"{type(outcome).__name__}"] += 1
        took_s = time.monotonic() - before
    await asyncio.sleep(1.5)  # what is added up is written once a second
    with ApiClient(instance.url) as api:
        metrics = await asyncio.to_thread(api.metrics)
    return figures(tally, metrics, await asyncio.to_thread(log.read_text, encoding="utf-8"), took_s, policy)


def figures(tally: Tally, metrics: dict[str, float], log: str, seconds: float, policy: GuardPolicy) -> Figures:
    """What was seen, what the service counted, what its log holds; and where they disagree."""

    def counted(protocol: str, outcome: str) -> int:
        return int(metrics.get(f'fernamt_security_attempts_total{{outcome="{outcome}",protocol="{protocol}"}}', 0))

    doors = {"sip": ("udp", "tcp"), "web": ("web",)}
    logged: Counter[str] = Counter()
    for line in log.splitlines():
        told = security_line.read(line.partition("fernamt.security ")[2])
        logged[f"{told.get('protocol', '-')} {told['outcome']}"] += int(told.get("attempts", 1))
    judged = {protocol: counted(protocol, "failed") for protocol in doors}
    throttled = {protocol: counted(protocol, "throttled") for protocol in doors}
    sent = {door: sum(count for (at, _), count in tally.answers.items() if at == door) for door in ("udp", "tcp", "web")}
    shared = policy.failures * policy.shared_factor
    allowed = shared + math.ceil(seconds * shared / policy.window_s)
    found = sum(count for (_, answer), count in tally.answers.items() if answer == "right")
    problems = [f"{protocol}: {count} guesses were judged, {allowed} are allowed" for protocol, count in judged.items() if count > allowed]
    for protocol, its_doors in doors.items():
        for answer, outcome, count in (("wrong", "failed", judged[protocol]), ("waits", "throttled", throttled[protocol])):
            seen = sum(tally.answers[door, answer] for door in its_doors)
            if seen > count:
                problems.append(f"{protocol}: {seen} answers `{answer}` were seen, the service counted {count}")
            if logged[f"{protocol} {outcome}"] != count:
                problems.append(f"{protocol}: {count} attempts {outcome}, {logged[f'{protocol} {outcome}']} in the log")
    if found:
        problems.append(f"the right password was found out {found} times")
    if tally.probes_that_differed:
        problems.append(f"{tally.probes_that_differed} of {tally.probes} answers to the right password differed from those to wrong ones")
    problems += [f"owner: {count} times {what}" for what, count in tally.owner.items() if what.startswith("not ")]
    problems += [f"an attacker stopped: {answer}, {count} times" for (door, answer), count in tally.answers.items() if door == "all"]
    if not tally.owner["registered"] or not tally.owner["logged in"] or not tally.probes:
        problems.append("nothing was tried")
    return Figures(
        seconds=round(seconds, 1),
        sent=sent,
        judged=judged,
        throttled=throttled,
        allowed=allowed,
        found=found,
        probes=tally.probes,
        owner=dict(tally.owner),
        slowest_owner_ms=round(tally.slowest_owner_s * 1000, 1),
        logged=dict(sorted(logged.items())),
        banned=int(metrics.get("fernamt_security_bans_total", 0)),
        problems=problems,
    )


def settings(log: Path, *, bans: bool) -> dict[str, str]:
    """Of the private instance: the owner's address is never banned, others are when asked for."""
    return {
        "FERNAMT_SECURITY__LOG": str(log),
        "FERNAMT_SECURITY__ALLOW": f"{HOME}/32",
        "FERNAMT_SECURITY__BAN_MINUTES": "10" if bans else "0",
        # What is tried is how often a guess is judged, not how many strangers are answered at all.
        "FERNAMT_FAIRNESS__STRANGERS_PER_SECOND": "100000",
        "FERNAMT_FAIRNESS__STRANGERS_BURST": "100000",
    }


async def attack_private_instance(seconds: float, attackers: int, rate: float, *, bans: bool = False) -> Figures:
    """Start one, attack it, stop it.

    Raises: InstanceFailed, ApiError
    """
    with tempfile.TemporaryDirectory(prefix="fernamt-guessing-") as folder:
        log = Path(folder) / "security.log"
        async with private_instance(settings(log, bans=bans)) as instance:
            return await run(instance, log, seconds, attackers, rate, GuardPolicy())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; prints the figures as JSON. Returns: exit status, 0 passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--attackers", type=int, default=8, help="addresses; each at three doors")
    parser.add_argument("--rate", type=float, default=50.0, help="guesses a second of each attacker at each door")
    parser.add_argument("--bans", action="store_true", help="let attackers be banned")
    given = parser.parse_args(arguments)
    try:
        found = asyncio.run(attack_private_instance(given.seconds, given.attackers, given.rate, bans=given.bans))
    except (InstanceFailed, ApiError, OSError) as error:
        print(f"could not be run: {error}", file=sys.stderr)
        return EXIT_NOT_RUN
    print(json.dumps(vars(found), indent=2))
    return EXIT_FAILED if found.problems else EXIT_PASSED


if __name__ == "__main__":
    sys.exit(main())
