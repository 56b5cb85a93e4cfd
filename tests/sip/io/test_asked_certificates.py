"""Clients of TLS that are asked for certificates (RFC 5922): what a believed one proves, what ends the handshake, who is asked at all."""

import asyncio
import hashlib
import ssl
from pathlib import Path

import pytest

from sip.domain_identity import proofs
from sip.io.driver import SipEndpoint
from sip.io.tls import asking_context, dialling_context, listening_context
from sip.io.transport import Contexts
from sip.user_agent import UserAgent, UserAgentConfig
from tests.certificates import Authority
from tests.ports import HOST

OPTIONS = (
    b"OPTIONS sip:anybody@house SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\n"
    b"To: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


class House:
    """An endpoint with a door for everybody and one where certificates are asked for; it notes over what requests came."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        ours = self.authority.issue(HOST)
        contexts = Contexts(
            listening_context(ours, None), dialling_context(self.authority.file), asking_context(ours, None, self.authority.file)
        )
        self.heard = []
        agent = UserAgent(UserAgentConfig(share=self._share), iter(map(str, range(10_000))).__next__)
        listen = [("tls", HOST, 0), ("tls", "127.0.0.2", 0)]
        self.endpoint = SipEndpoint(agent, listen, lambda _event: None, tls=contexts, asks_at=[("127.0.0.2", 0)])

    def _share(self, _request, flow, _account, _classified):
        self.heard.append(flow)

    async def __aenter__(self):
        await self.endpoint.start()
        return self

    async def __aexit__(self, *_):
        await self.endpoint.close()

    async def asks(self, certificate=None, *, door=1):
        """A client that shows this certificate says OPTIONS: the status of the answer, and the flow it came over."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.authority.file)
        if certificate is not None:
            context.load_cert_chain(certificate)
        _, host, port = self.endpoint.addresses[door]
        self.heard.clear()
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                writer.write(OPTIONS)
                line = await reader.readline()
                if not line:
                    raise ConnectionError
            finally:
                writer.close()
        return int(line.split()[1]), self.heard[0]

    def figure(self, name):
        return self.endpoint.figures()[name]


async def test_a_certificate_of_an_authority_that_is_believed_proves_what_it_names_and_which_it_is(tmp_path):
    async with House(tmp_path) as house:
        shown = house.authority.issue("sip:Carrier.example.com", "dns:ignored.example.com", file="client.pem")
        status, flow = await house.asks(shown)
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown.read_text().partition("-----BEGIN PRIVATE")[0])).hexdigest()
        assert (status, flow.proven) == (200, ("carrier.example.com", f"sha256:{digest}"))
        assert house.figure("tls_clients_proven_total") == 1


@pytest.mark.parametrize(
    ("names", "common_name", "proved"),
    [
        (("dns:one.example", "dns:Two.example"), "cn.example", ("one.example", "two.example")),
        (("sip:one.example", "dns:two.example"), "cn.example", ("one.example",)),
        (("sip:anna@one.example",), "cn.example", ()),
        (("127.0.0.1",), "cn.example", ()),
        ((), "CN.example", ("cn.example",)),
    ],
    ids=[
        "dns names",
        "a sip uri before dns names",
        "a user's uri is no domain",
        "an address is none",
        "the common name where nothing else",
    ],
)
async def test_the_common_name_counts_only_where_there_is_no_other(tmp_path, names, common_name, proved):
    async with House(tmp_path) as house:
        _, flow = await house.asks(house.authority.issue(*names, common_name=common_name, file="client.pem"))
        assert flow.proven[:-1] == proved


async def test_who_shows_none_is_heard_and_has_proved_nothing(tmp_path):
    async with House(tmp_path) as house:
        status, flow = await house.asks()
        assert (status, flow.proven, house.figure("tls_clients_proven_total")) == (200, (), 0)


@pytest.mark.parametrize("kind", ["foreign", "expired", "not yet", "its own"])
async def test_a_certificate_that_is_not_believed_ends_the_handshake(tmp_path, kind):
    async with House(tmp_path) as house:
        match kind:
            case "foreign":
                shown = Authority(tmp_path, "another").issue("carrier.example.com", file="client.pem")
            case "expired":
                shown = house.authority.issue("carrier.example.com", file="client.pem", days=-1)
            case "not yet":
                shown = house.authority.issue("carrier.example.com", file="client.pem", begins=1)
            case _:
                shown = Authority(tmp_path, "itself").own("carrier.example.com", file="client.pem")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await house.asks(shown)
        assert not house.heard
        assert house.figure('tls_handshake_failures_total{reason="certificate"}') == 1


async def test_at_the_door_for_everybody_nobody_is_asked_and_a_makers_certificate_harms_no_phone(tmp_path):
    async with House(tmp_path) as house:
        status, flow = await house.asks(Authority(tmp_path, "maker").issue("phone.example", file="phone.pem"), door=0)
        assert (status, flow.proven) == (200, ())


async def test_what_is_replaced_while_it_runs_holds_for_the_next_handshake_and_ends_no_connection(tmp_path):
    async with House(tmp_path) as house:
        shown = house.authority.issue("carrier.example.com", file="client.pem")
        _, host, port = house.endpoint.addresses[1]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(house.authority.file)
        context.load_cert_chain(shown)
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
        other = Authority(tmp_path, "another")
        house.endpoint._tls.asking = asking_context(house.authority.issue(HOST), None, other.file)
        writer.write(OPTIONS)
        assert (await reader.readline()).startswith(b"SIP/2.0 200")
        writer.close()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await house.asks(shown)
        assert (await house.asks(other.issue("carrier.example.com", file="client.pem")))[1].proven[0] == "carrier.example.com"


async def test_who_is_to_prove_himself_when_he_calls_is_called_from_where_he_will_be_asked(tmp_path):
    async with House(tmp_path) as house:
        everybodys, asked = [(host, port) for _, host, port in house.endpoint.addresses]
        assert house.endpoint.flow_to("carrier.example.com", 5061, "tls").local == everybodys
        flow = house.endpoint.flow_to("carrier.example.com", 5061, "tls", asks=True)
        assert flow.local == asked
        assert house.endpoint.transports.sender(flow, "tls").address == asked


def test_what_nobody_vouches_for_proves_nothing():
    assert proofs({}, b"a certificate that was not looked at") == ()
    assert proofs({"subject": ((("commonName", "a.example"),),)}, None) == ()
