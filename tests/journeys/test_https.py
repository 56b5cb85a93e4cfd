"""HTTPS in the service as an operator runs it: page, API and sockets, what SIP has of it, what a start refuses."""

import asyncio
import json
import signal
import ssl
import urllib.request

import pytest
from websockets.asyncio.client import connect

from tests.certificates import Authority
from tests.journeys.service import ServiceProcess, service
from tests.journeys.test_tls import shown
from tests.ports import HOST, free_port

pytestmark = [pytest.mark.journey, pytest.mark.slow]


def fetch(url: str, context: ssl.SSLContext, **headers: str) -> tuple[int, dict[str, str], bytes]:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), context=context, timeout=10) as answer:
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()


async def test_page_api_sockets_and_sip_have_one_certificate_and_programs_here_need_none(tmp_path):
    authority, sip, plain = Authority(tmp_path), free_port(), free_port()
    certificate = authority.issue(HOST, "localhost", "acd.example.org")
    settings = {
        "FERNAMT_HTTP__TLS": "files",
        "FERNAMT_HTTP__CERTIFICATE": str(certificate),
        "FERNAMT_HTTP__REDIRECT_PORT": str(plain),
        "FERNAMT_SIP__TRANSPORTS": "udp,tcp,tls",
        "FERNAMT_SIP__TLS_LISTEN": f"{HOST}:{sip}",
        "SSL_CERT_FILE": str(authority.file),
    }
    context = ssl.create_default_context(cafile=authority.file)
    async with service(tmp_path, **settings) as house:
        await house.provision()  # without TLS, from this machine
        base = f"https://{HOST}:{house.http}"
        status, headers, page = await asyncio.to_thread(fetch, f"{base}/", context)
        assert (status, b"<html" in page) == (200, True)
        assert "strict-transport-security" not in headers  # an address
        _, headers, _ = await asyncio.to_thread(fetch, f"{base}/healthz", context, Host="acd.example.org")
        assert headers["strict-transport-security"] == "max-age=31536000"
        _, _, ready = await asyncio.to_thread(fetch, f"{base}/readyz", context)
        told = json.loads(ready)["certificate"]
        assert (told["kind"], told["trusted"]) == ("files", True)
        assert "acd.example.org" in told["names"]
        _, _, metrics = await asyncio.to_thread(fetch, f"{base}/metrics", context)
        assert b"fernamt_https_certificate_days_left 29" in metrics
        async with connect(
            f"wss://localhost:{house.http}/api/v1/events", host=HOST, ssl=context, subprotocols=["fernamt.v1", f"bearer.{house.api.token}"]
        ) as stream:  # type: ignore[list-item]
            async with asyncio.timeout(10):
                assert json.loads(await stream.recv())
        assert await shown(sip) == await shown(house.http)
        _, _, healthy = await asyncio.to_thread(fetch, f"http://{HOST}:{plain}/healthz", context)
        assert json.loads(healthy) == {"status": "ok"}
    assert "Traceback" not in house.log


async def test_a_start_without_a_usable_certificate_says_which_file(tmp_path):
    house = ServiceProcess(tmp_path, FERNAMT_HTTP__TLS="files", FERNAMT_HTTP__CERTIFICATE=str(tmp_path / "nowhere.pem"))
    try:
        with pytest.raises(AssertionError, match="the service did not start"):
            await house.start()
        assert f"cannot start: http.certificate: {tmp_path}/nowhere.pem: No such file or directory" in house.log
        assert not (tmp_path / "data").exists()
    finally:
        if house.is_running:
            await house._end(signal.SIGTERM)
        house.close()
