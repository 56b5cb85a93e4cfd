"""HTTPS on the HTTP port: on the wire, as `fernamt run` serves it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import socket
import ssl
import stat
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from acd.errors import CannotStart
from api.config import Http, Settings
from api.edge.connections import Connections
from api.edge.protocol import Patience
from api.https import Https, outside
from api.https.certificate import OWN
from api.kit.peers import is_loopback
from tests.api.serving import Served, serving
from tests.certificates import Authority

NAME = "acd.example.org"
ELSEWHERE = "127.0.0.9"
"""A peer that is taken for one of another machine."""
HSTS = "strict-transport-security"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """One that this system trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    monkeypatch.setattr(outside, "is_loopback", lambda host: host != ELSEWHERE and is_loopback(host))
    return made


async def hello(scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """Says by what it was asked; a socket says everything again."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(scope["scheme"])).encode())]})
        await send({"type": "http.response.body", "body": scope["scheme"].encode()})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": scope["scheme"] + " " + message["text"]})


def https(tmp_path: Path, **http: Any) -> Https:
    made = Https(Settings(data=tmp_path, http=Http(**http)))
    made.start()
    return made


def with_files(tmp_path: Path, certificate: Path, **more: Any) -> Https:
    return https(tmp_path, tls="files", certificate=certificate, **more)


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.file)


def anything() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def asked(served: Served, *fields: str, host: str = NAME, method: str = "GET", target: str = "/", **where: Any) -> Any:
    wire = await served.connect(**where)
    await wire.send("\r\n".join((f"{method} {target} HTTP/1.1", f"Host: {host}", *fields, "", "")).encode())
    return await wire.reply()


@contextlib.asynccontextmanager
async def failing(served: Served, https: Https) -> AsyncIterator[None]:
    """Until another handshake has come to nothing, and its connection counts no more."""
    assert https.listener is not None
    before = https.listener.failures.total()
    yield
    async with asyncio.timeout(10):
        while https.listener.failures.total() == before or served.connections.open:
            await asyncio.sleep(0.01)


async def test_a_page_and_its_sockets_go_by_tls_and_a_browser_is_told_to_stay_there(tmp_path, authority):
    ours = with_files(tmp_path, authority.issue(NAME))
    async with serving(hello, https=ours) as served:
        reply = await asked(served, tls=trusting(authority), name=NAME)
        assert (reply.status, reply.body) == (200, b"https")
        assert reply.headers[HSTS] == "max-age=31536000"
        async with connect(f"wss://{NAME}:{served.port}/", host="127.0.0.1", ssl=trusting(authority)) as stream:
            assert stream.response is not None
            assert stream.response.headers[HSTS] == "max-age=31536000"
            await stream.send("hear")
            assert await stream.recv() == "wss hear"
        assert ours.listener is not None
        assert ours.listener.handshakes == 2
        assert ours.figures()["fernamt_https_certificate_trusted"] == 1
        assert ours.told().kind == "files"
        assert ours.told().names == NAME


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.:8443", "127.0.0.1:8443", "[::1]", "192.0.2.1", "a.localhost", "other.example.org", ""]
)
async def test_nobody_is_told_to_stay_at_an_address_a_local_name_or_one_the_certificate_has_not(tmp_path, authority, host):
    certificate = authority.issue(NAME, "localhost", "dns:a.localhost", "127.0.0.1", "::1", "192.0.2.1", "dns:127.0.0.1")
    async with serving(hello, https=with_files(tmp_path, certificate)) as served:
        over = await asked(served, host=host, tls=trusting(authority), name=NAME)
        assert over.status == 200
        assert HSTS not in over.headers
        plain = await asked(served, host=host, source=ELSEWHERE, port=served.plain_port)
        assert plain.status == 400
        assert "location" not in plain.headers


async def test_a_wildcard_holds_for_one_label(tmp_path, authority):
    ours, now = with_files(tmp_path, authority.issue("dns:*.example.org")), time.time()
    assert ours.certificate.is_trusted_for("acd.example.org", now)
    assert ours.certificate.is_trusted_for("ACD.example.org.", now)
    assert not ours.certificate.is_trusted_for("a.b.example.org", now)
    assert not ours.certificate.is_trusted_for("example.org", now)


@pytest.mark.parametrize("by_which", ["the port beside it", "the port of HTTPS"])
async def test_without_tls_everybody_elsewhere_is_sent_on_and_nothing_is_served(tmp_path, authority, by_which):
    ours = with_files(tmp_path, authority.issue(NAME))
    async with serving(hello, https=ours) as served:
        port = served.port if by_which == "the port of HTTPS" else served.plain_port
        for method in ("GET", "POST"):
            reply = await asked(served, method=method, target="/a%20b?c=d&e=%2F", source=ELSEWHERE, port=port)
            assert reply.status == 308
            assert reply.headers["location"] == f"https://{NAME}:{served.port}/a%20b?c=d&e=%2F"
            assert reply.headers["cache-control"] == "no-store"
            assert HSTS not in reply.headers  # RFC 6797 §7.2
        no_path = await asked(served, target="http://elsewhere.example/", source=ELSEWHERE, port=port)
        assert no_path.status == 400
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://{NAME}:{port}/", host="127.0.0.1", local_addr=(ELSEWHERE, 0)):
                pass
        assert refused.value.response.status_code == 400


async def test_who_is_forwarded_to_our_port_is_sent_on_to_the_one_outside(tmp_path, authority):
    async with serving(hello, https=with_files(tmp_path, authority.issue(NAME), https_port=443)) as served:
        reply = await asked(served, source=ELSEWHERE, port=served.plain_port)
        assert reply.headers["location"] == f"https://{NAME}/"


async def test_a_program_here_and_a_proxy_are_served_without_tls(tmp_path, authority):
    ours = with_files(tmp_path, authority.issue(NAME), proxies=("127.0.0.1", ELSEWHERE))
    async with serving(hello, https=ours) as served:
        for port in (served.port, served.plain_port):
            for source in ("127.0.0.1", ELSEWHERE):
                reply = await asked(served, source=source, port=port)
                assert (reply.status, reply.body) == (200, b"http")
                assert HSTS not in reply.headers
        # Under TLS, but for somebody else: what the browser is told is the proxy's to say.
        passed_on = await asked(served, "X-Forwarded-Proto: https", "X-Forwarded-For: 192.0.2.7", tls=trusting(authority), name=NAME)
        assert passed_on.status == 200
        assert HSTS not in passed_on.headers


@pytest.mark.usefixtures("authority")
async def test_a_self_made_certificate_leads_nobody_into_a_warning_he_could_not_pass(tmp_path, caplog):
    ours = https(tmp_path, tls="self-made")
    assert "browsers warn of it" in caplog.text
    path = tmp_path / OWN
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with serving(hello, https=ours) as served:
        over = await asked(served, host="localhost", tls=anything())
        assert over.status == 200
        assert HSTS not in over.headers
        plain = await asked(served, source=ELSEWHERE, port=served.plain_port)
        assert plain.status == 400
        assert json.loads(plain.body)["detail"] == f"This is served by HTTPS alone, at port {served.port}."
    assert ours.told().kind == "self-made"
    assert not ours.told().trusted
    assert ours.figures()["fernamt_https_certificate_self_made"] == 1
    kept = path.read_bytes()
    https(tmp_path, tls="self-made")
    assert path.read_bytes() == kept
    # Whoever trusts it by itself finds the names it is asked for.
    context = ssl.create_default_context(cafile=path)
    async with serving(hello, https=ours) as served:
        assert (await asked(served, tls=context, name="localhost")).status == 200


async def test_a_self_made_certificate_is_made_anew_while_it_still_holds(tmp_path):
    ours = https(tmp_path, tls="self-made")
    before = ours.certificate.expires_at
    ours.certificate.look(before - 31 * 86_400)
    assert ours.certificate.expires_at == before
    ours.certificate.look(before - 29 * 86_400)
    assert ours.certificate.expires_at > before


async def test_an_expired_certificate_is_served_and_sends_nobody_on(tmp_path, authority):
    ours = with_files(tmp_path, authority.issue(NAME, days=-1))
    async with serving(hello, https=ours) as served:
        assert (await asked(served, source=ELSEWHERE)).status == 400
        assert HSTS not in (await asked(served, tls=anything())).headers
    assert ours.figures()["fernamt_https_certificate_days_left"] < 0
    # Nor does one that ends while it is served.
    soon = with_files(tmp_path, authority.issue(NAME, days=10))
    assert soon.certificate.is_trusted_for(NAME, time.time())
    assert not soon.certificate.is_trusted_for(NAME, time.time() + 11 * 86_400)


async def test_a_new_certificate_is_shown_from_now_on_and_no_connection_is_dropped(tmp_path, authority):
    ours = with_files(tmp_path, authority.issue(NAME))
    async with serving(hello, https=ours) as served:
        first = await served.connect(tls=trusting(authority), name=NAME)
        async with connect(f"wss://{NAME}:{served.port}/", host="127.0.0.1", ssl=trusting(authority)) as stream:
            authority.issue("dns:new.example.org")
            await ours.look()
            with pytest.raises(ssl.SSLCertVerificationError):
                await served.connect(tls=trusting(authority), name=NAME)
            assert (await asked(served, tls=trusting(authority), name="new.example.org")).status == 200
            await first.request("GET", "/")
            assert (await first.reply()).status == 200
            await stream.send("still")
            assert await stream.recv() == "wss still"
        assert ours.figures()["fernamt_https_certificate_reloads_total"] == 1
        (tmp_path / "server.pem").write_text("half")
        await ours.look()
        assert (await asked(served, tls=trusting(authority), name="new.example.org")).status == 200
        assert ours.figures()["fernamt_https_certificate_refused"] == 1
        assert ours.told().trouble is not None


async def test_the_keys_of_tickets_live_for_a_day(tmp_path, authority):
    ours = with_files(tmp_path, authority.issue(NAME))
    first, now = ours.certificate.context, time.time()
    ours.certificate.look(now + 80_000)
    assert ours.certificate.context is first
    ours.certificate.look(now + 87_000)
    assert ours.certificate.context is not first
    assert ours.figures()["fernamt_https_certificate_reloads_total"] == 0


async def test_who_says_nothing_is_closed_and_has_counted_among_the_strangers(tmp_path, authority, caplog):
    caplog.set_level(logging.INFO, "api.https")
    ours = with_files(tmp_path, authority.issue(NAME))
    held = Connections(per_source=2, strangers=10, per_user=10)
    async with serving(hello, Patience(head_s=0.3), held, ours) as served:
        assert ours.listener is not None
        async with failing(served, ours):
            silent, begun = await served.connect(), await served.connect()
            await begun.send(b"\x16\x03\x01\x02\x00\x01")
            while served.connections.open < 2:
                await asyncio.sleep(0.01)
            third = await served.connect()  # makes room for itself: the oldest goes
            assert await silent.ended() == b""
            assert await begun.ended() == b""
            assert await third.ended() == b""
        assert ours.listener.failures["timeout"] >= 1
    assert "no handshake in time" in caplog.text


LETTERS = bytes(range(256)) * 16_384
"""More than all buffers on the way hold."""


async def at_length(_scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """Takes all that comes, and gives much."""
    taken = 0
    while (message := await receive())["type"] == "http.request":
        taken += len(message["body"])
        if not message["more_body"]:
            break
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-length", str(len(LETTERS)).encode()), (b"taken", str(taken).encode())],
        }
    )
    for begin in range(0, len(LETTERS), 100_000):
        await send({"type": "http.response.body", "body": LETTERS[begin : begin + 100_000], "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def test_much_is_taken_and_given_whole(tmp_path, authority):
    async with serving(at_length, https=with_files(tmp_path, authority.issue(NAME))) as served:
        wire = await served.connect(tls=trusting(authority), name=NAME)
        for _ in range(2):
            await wire.request("POST", "/", f"Content-Length: {len(LETTERS)}", body=LETTERS)
            reply = await wire.reply()
            assert reply.body == LETTERS
            assert reply.headers["taken"] == str(len(LETTERS))


async def without_end(_scope: Any, _receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
    """A hundred MiB, which no buffer of a kernel holds."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(25):
        await send({"type": "http.response.body", "body": LETTERS, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def test_who_takes_nothing_is_cut_off(tmp_path, authority):
    ours = with_files(tmp_path, authority.issue(NAME))
    async with serving(without_end, Patience(stalled_s=0.2), https=ours) as served:
        wire = await served.connect(tls=trusting(authority), name=NAME)
        cast("asyncio.Transport", wire.writer.transport).pause_reading()
        await wire.request("GET", "/")
        async with asyncio.timeout(10):
            while served.connections.open:
                await asyncio.sleep(0.01)
        assert served.connections.refused["stalled"] == 1


async def test_who_is_too_slow_is_told_so_under_tls_too(tmp_path, authority):
    ours = with_files(tmp_path, authority.issue(NAME))
    async with serving(hello, Patience(head_s=0.3), https=ours) as served:
        wire = await served.connect(tls=trusting(authority), name=NAME)
        await wire.send(b"GET / HTTP/1.1\r\nHo")
        assert (await wire.reply()).status == 408
        assert served.connections.refused["slow_head"] == 1


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_a_flood_of_failed_handshakes_is_told_of_in_few_lines_and_without_traces(tmp_path, authority, caplog):
    caplog.set_level(logging.INFO, "api.https")
    ours = with_files(tmp_path, authority.issue(NAME))
    async with serving(hello, https=ours) as served:
        assert ours.listener is not None
        old = anything()
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with contextlib.suppress(OSError):
            await served.connect(tls=old)
        for _ in range(40):
            wire = await served.connect()
            await wire.send(b"\x16\x03\x01\x00\x05nonsense" + bytes(600))
            await wire.ended()
            await wire.close()
        async with failing(served, ours):
            with contextlib.suppress(OSError):
                await served.connect(tls=trusting(authority), name="other.example.org")
        assert ours.listener.failures["version"] == 1
        assert ours.listener.failures.total() >= 42
        assert not served.connections.open
    assert caplog.text.count("no TLS") <= 30
    assert "Traceback" not in caplog.text
    assert {one.name for one in caplog.records if one.levelno >= logging.ERROR} == set()


async def test_tls_to_a_port_without_it_is_told_so_and_leaves_no_trace(tmp_path, authority, caplog):
    ours = with_files(tmp_path, authority.issue(NAME))
    async with serving(hello, https=ours) as served:
        with pytest.raises(ssl.SSLError):
            await served.connect(tls=anything(), port=served.plain_port)
    assert "Traceback" not in caplog.text


def offered(port: int, version: ssl.TLSVersion, ciphers: str) -> str | None:
    """The cipher that a client of one version gets; None: no handshake."""
    context = anything()
    context.minimum_version = context.maximum_version = version
    context.set_ciphers(ciphers)
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as raw, context.wrap_socket(raw, server_hostname=NAME) as wire:
            assert wire.selected_alpn_protocol() == "http/1.1"
            cipher = wire.cipher()
            assert cipher is not None
            return cipher[0]
    except OSError:
        return None


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_what_is_offered(tmp_path, authority):
    """What sslscan finds, pinned: docs/security.md."""
    async with serving(hello, https=with_files(tmp_path, authority.issue(NAME))) as served:
        twelve = ssl.TLSVersion.TLSv1_2
        found = set()
        everything = [one["name"] for one in ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).get_ciphers()]
        weak = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_ciphers(weak)
        everything += [one["name"] for one in context.get_ciphers()]
        for one in dict.fromkeys(name for name in everything if not name.startswith("TLS_")):
            if (got := await asyncio.to_thread(offered, served.port, twelve, f"{one}:@SECLEVEL=0")) is not None:
                found.add(got)
        assert found == {"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"}
        assert await asyncio.to_thread(offered, served.port, ssl.TLSVersion.TLSv1_3, "DEFAULT") == "TLS_AES_256_GCM_SHA384"
        for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            assert await asyncio.to_thread(offered, served.port, old, weak) is None


@pytest.mark.parametrize(
    ("http", "told"),
    [
        ({"tls": "files"}, "`certificate` names none"),
        ({"tls": "acme"}, "`acme_domains` names no domain"),
        ({"tls": "self-made", "certificate": "x.pem"}, '`certificate` is for `tls` "files"'),
        ({"tls": "off", "redirect_port": 80}, "there is no HTTPS"),
        ({"tls": "self-made", "port": 8443, "redirect_port": 8443}, "8443 would be the port"),
        ({"tls": "acme", "acme_domains": ("*.example.org",)}, "a wildcard is proved by DNS alone"),
        ({"tls": "acme", "acme_domains": ("192.0.2.1",)}, "is no domain name"),
        ({"tls": "acme", "acme_domains": ("localhost",)}, "is no domain name"),
        ({"tls": "acme", "acme_domains": ("a.example.org",), "acme_directory": "http://a.example.org/"}, "acme_directory"),
        ({"tls": "acme", "acme_domains": ("a.example.org",), "acme_email": "nobody"}, "no mail address"),
    ],
)
def test_settings_that_do_not_go_together_are_said(http, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        Http(**http)


def test_files_that_cannot_be_used_end_the_start(tmp_path, authority):
    with pytest.raises(CannotStart, match=r"http\.certificate: .*No such file"):
        with_files(tmp_path, tmp_path / "nowhere.pem")
    authority.issue(NAME, key_file="key.pem")
    with pytest.raises(CannotStart, match=r"`http\.key` names that"):
        with_files(tmp_path, tmp_path / "server.pem")
    (tmp_path / OWN).write_text("nothing")
    with pytest.raises(CannotStart, match=r"http\.certificate: .*https\.pem holds no certificate"):
        https(tmp_path, tls="self-made")
