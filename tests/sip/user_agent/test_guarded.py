"""Wrong passwords and banned sources at the user agent server: RFC 7616 §3.3 (nonces), RFC 3261 §21.5.4 (503), §26.3.2.4."""

import sys

import pytest

from sip.classified import TRUNK
from sip.config import UserAgentConfig
from sip.digest import Account, Authenticator, ClientDigest, DigestCredentials, digest_response, ha1
from sip.events import IncomingInvite, Registered
from sip.flow import Flow
from sip.parser import parse_datagram
from sip.registrar import Registrar
from sip.uri import Uri
from sip.user_agent import UserAgent

from .test_uas import accepted, answers, request

HERE = Flow("udp", ("192.0.2.2", 5060), ("192.0.2.1", 5060))
NEXT_PORT = Flow("udp", ("192.0.2.2", 5060), ("192.0.2.1", 40000))
ELSEWHERE = Flow("udp", ("192.0.2.2", 5060), ("203.0.113.9", 5060))
PASSWORD = "geheim"


class FakeAttempt:
    def __init__(self, guard, wait_s):
        self.guard, self.wait_s = guard, wait_s

    def failed(self, _now):
        self.guard.told.append("failed")

    def abandoned(self, _now):
        self.guard.told.append("abandoned")

    def succeeded(self, _now):
        self.guard.told.append("succeeded")


class FakeGuard:
    def __init__(self):
        self.told, self.asked, self.banned, self.trunks, self.wait_s = [], [], set(), set(), None

    def is_banned(self, host, _now, *, is_challenged):
        return host in self.banned and (is_challenged or host not in self.trunks)

    def attempt(self, username, host, _now, *, is_urgent):
        self.asked.append((username, host, is_urgent))
        return FakeAttempt(self, None if is_urgent else self.wait_s)


class Door:
    """A user agent with one user, anna, and what it computed."""

    def __init__(self, monkeypatch):
        self.guard, self.computed = FakeGuard(), []
        monkeypatch.setattr("sip.digest.digest_response", self._compute)
        serial = iter(range(10**6))
        self.agent = UserAgent(
            UserAgentConfig(
                authenticator=Authenticator("house", self._lookup, b"0123456789abcdef", guard=self.guard),
                registrar=Registrar(lambda uri, _who: f"{uri.user}@house"),
                guard=self.guard,
                is_emergency=lambda one: one.uri.user == "112",
            ),
            lambda: f"token{next(serial):06d}",
        )
        self._cseq = iter(range(1, 10**6))

    def _compute(self, *told, **more):
        if sys._getframe(1).f_code.co_name == "_is_right":  # the client of the test computes as well
            self.computed.append(told)
        return digest_response(*told, **more)

    def _lookup(self, _request, username, realm, algorithm):
        return Account(f"anna@{realm}", ha1("anna", "house", PASSWORD, algorithm)) if username == "anna" else None

    def register(self, digest=None, flow=HERE, **more):
        number = next(self._cseq)
        headers = dict(digest.headers("REGISTER", Uri.parse("sip:house"), "c0ffee")) if digest is not None else {}
        message = request(
            "REGISTER", f"r{number}", "sip:house", number, "<sip:anna@house>", "reg", Contact="<sip:anna@192.0.2.1>", **headers, **more
        )
        return answers(self.agent, message, flow)

    def challenged(self, user="anna", password=PASSWORD, flow=HERE):
        """A client that has got its nonce."""
        digest = ClientDigest(DigestCredentials(user, password))
        [answer] = self.register(flow=flow)
        assert answer.status == 401
        assert digest.learn(answer)
        return digest

    def invite(self, called="601", digest=None, flow=HERE):
        number, uri = next(self._cseq), f"sip:{called}@192.0.2.2"
        headers = dict(digest.headers("INVITE", Uri.parse(uri), "c0ffee")) if digest is not None else {}
        return answers(self.agent, request("INVITE", f"i{number}", uri, number, call_id=f"call{number}", **headers), flow)


@pytest.fixture
def door(monkeypatch):
    return Door(monkeypatch)


class TestNonces:
    def test_a_nonce_serves_its_source_from_any_port(self, door):
        digest = door.challenged()
        [answer] = door.register(digest, NEXT_PORT)
        assert answer.status == 200
        assert door.guard.told == ["succeeded"]

    @pytest.mark.parametrize("password", [PASSWORD, "wrong"])
    def test_from_another_source_it_is_stale_never_judged_and_never_counted(self, door, password):
        digest = door.challenged(password=password)
        [answer] = door.register(digest, ELSEWHERE)
        assert answer.status == 401
        assert "stale=true" in answer.headers.get("WWW-Authenticate")
        assert (door.guard.asked, door.computed) == ([], [])

    def test_who_moves_to_another_address_is_in_after_one_more_round_trip(self, door):
        digest = door.challenged()
        [stale] = door.register(digest, ELSEWHERE)
        assert digest.learn(stale)
        [answer] = door.register(digest, ELSEWHERE)
        assert answer.status == 200

    @pytest.mark.parametrize("nonce", ["", "x", "AAAA", "A" * 40])
    def test_a_nonce_that_was_never_issued_counts_for_nobody(self, door, nonce):
        """So nobody can have a forged address throttled or banned."""
        value = f'Digest username="anna", realm="house", nonce="{nonce}", uri="sip:house", response="0", qop=auth, nc=00000001, cnonce="c"'
        [answer] = door.register(Authorization=value)
        assert "stale=true" in answer.headers.get("WWW-Authenticate")
        assert (door.guard.asked, door.computed) == ([], [])

    def test_an_expired_nonce_tells_nothing_of_the_password(self, door):
        right, wrong = door.challenged(), door.challenged(password="wrong")
        told = []
        for digest in (right, wrong):
            headers = dict(digest.headers("REGISTER", Uri.parse("sip:house"), "c0ffee"))
            message = request("REGISTER", f"late{len(told)}", "sip:house", 900 + len(told), "<sip:anna@house>", "reg", **headers)
            door.agent.receive(message.to_bytes(), HERE, 1000.0)
            [(_, octets)] = door.agent.datagrams_to_send()
            told.append(b"stale=true" in octets)
        assert told == [True, True]
        assert door.computed == []


class TestThrottled:
    @pytest.mark.parametrize(("user", "password"), [("anna", PASSWORD), ("anna", "wrong"), ("nobody", "wrong")])
    def test_the_answer_is_the_same_and_nothing_is_computed(self, door, user, password):
        digest = door.challenged(user, password)
        door.guard.wait_s = 17
        [answer] = door.register(digest)
        assert (answer.status, answer.headers.get("Retry-After")) == (503, "17")
        assert answer.headers.get("WWW-Authenticate") is None
        assert (door.computed, door.guard.told) == ([], [])

    def test_who_waits_is_in_with_the_nonce_it_had(self, door):
        digest = door.challenged()
        door.guard.wait_s = 17
        door.register(digest)
        door.guard.wait_s = None
        [answer] = door.register(digest)
        assert answer.status == 200

    def test_a_request_without_credentials_is_challenged_as_ever(self, door):
        door.guard.wait_s = 17
        [answer] = door.register()
        assert answer.status == 401

    def test_a_wrong_password_is_told_to_the_guard(self, door):
        [answer] = door.register(door.challenged(password="wrong"))
        assert answer.status == 401
        assert "stale" not in answer.headers.get("WWW-Authenticate")
        assert door.guard.told == ["failed"]

    def test_an_emergency_call_is_judged_from_an_allowance_of_its_own(self, door):
        digest = door.challenged()
        door.guard.wait_s = 17
        assert [one.status for one in door.invite("601", digest)] == [503]
        door.invite("112", digest)
        assert [type(one) for one in door.agent.events()] == [IncomingInvite]
        assert door.guard.asked[-1] == ("anna@house", "192.0.2.1", True)


class TestBanned:
    @pytest.fixture
    def banned(self, door):
        door.guard.banned = {"192.0.2.1"}
        return door

    def test_register_and_invite_get_no_answer(self, banned):
        assert banned.register() == []
        assert banned.invite() == []
        assert banned.agent.counters["banned"] == 2

    @pytest.mark.parametrize("method", ["OPTIONS", "MESSAGE", "SUBSCRIBE", "BYE", "CANCEL", "INFO"])
    def test_nor_does_anything_that_belongs_to_no_call(self, banned, method):
        assert answers(banned.agent, request(method), HERE) == []
        assert answers(banned.agent, request(method, "two", to="<sip:bob@192.0.2.2>;tag=x"), HERE) == []

    def test_nor_does_what_cannot_be_read(self, banned):
        banned.agent.receive(request("INVITE").to_bytes().replace(b"CSeq: 1 INVITE", b"CSeq: x"), HERE, 0.0)
        assert banned.agent.datagrams_to_send() == []

    def test_others_are_heard(self, banned):
        [answer] = banned.register(flow=ELSEWHERE)
        assert answer.status == 401

    def test_an_emergency_call_passes_and_can_be_hung_up(self, banned):
        """TKG § 164: also from an address that somebody else used for guessing."""
        [challenge] = banned.invite("112")
        assert challenge.status == 401
        digest = ClientDigest(DigestCredentials("anna", PASSWORD))
        assert digest.learn(challenge)
        banned.invite("112", digest)
        [event] = [one for one in banned.agent.events() if isinstance(one, IncomingInvite)]
        banned.agent.accept(event.session, b"v=0\r\n", 0.0)
        [(_, octets)] = banned.agent.datagrams_to_send()
        to = next(line for line in octets.decode().split("\r\n") if line.startswith("To:")).partition(": ")[2]
        asked = event.request
        within = {"uri": str(asked.uri), "call_id": asked.call_id, "to": to}
        answers(banned.agent, request("ACK", "ack", cseq=asked.cseq.number, **within), HERE)
        [bye] = answers(banned.agent, request("BYE", "bye", cseq=asked.cseq.number + 1, **within), HERE)
        assert bye.status == 200

    def test_a_trunk_is_heard_in_spite_of_a_ban(self):
        guard = FakeGuard()
        guard.banned = {"192.0.2.1"}
        agent = UserAgent(UserAgentConfig(classify=lambda _r, _f: TRUNK, guard=guard), iter(map(str, range(10**6))).__next__)
        agent.receive(request().to_bytes(), HERE, 0.0)
        assert [type(one) for one in agent.events()] == [IncomingInvite]

    @pytest.mark.parametrize("is_trunk", [False, True])
    def test_a_call_that_is_up_goes_on_in_spite_of_a_later_ban(self, is_trunk):
        guard = FakeGuard()
        agent = UserAgent(UserAgentConfig(classify=lambda _r, _f: TRUNK, guard=guard), iter(map(str, range(10**6))).__next__)
        _, to = accepted(agent)
        guard.banned, guard.trunks = {"192.0.2.1"}, {"192.0.2.1"} if is_trunk else set()
        told = [answers(agent, request(method, method, cseq=number, to=to)) for number, method in enumerate(("INFO", "OPTIONS", "BYE"), 2)]
        # An OPTIONS of a source that is banned and no trunk's is not even read.
        assert [[one.status for one in sent] for sent in told] == [[200], [200] if is_trunk else [], [200]]

    @pytest.mark.parametrize("read_as", ["datagram", "stream"])
    def test_at_a_banned_trunk_probes_are_answered_and_nothing_that_a_password_proves(self, banned, read_as):
        banned.guard.trunks = {"192.0.2.1"}

        def told(message):
            if read_as == "datagram":
                return [one.status for one in answers(banned.agent, message, HERE)]
            banned.agent.receive_message(parse_datagram(message.to_bytes()), HERE, 0.0)
            return [parse_datagram(octets).status for _, octets in banned.agent.datagrams_to_send()]

        assert told(request("OPTIONS", "probe")) == [200]
        assert told(request("BYE", "late", to="<sip:bob@192.0.2.2>;tag=x")) == [481]
        assert told(request("REGISTER", "reg", "sip:house", to="<sip:anna@house>", Contact="<sip:anna@192.0.2.1>")) == []
        assert told(request("INVITE", "call")) == []
        assert banned.agent.counters["banned"] == 2

    def test_nor_is_a_register_of_a_banned_trunk_that_cannot_be_read(self, banned):
        banned.guard.trunks = {"192.0.2.1"}
        broken = request("REGISTER", to="<sip:anna@house>").to_bytes().replace(b"CSeq: 1 REGISTER", b"CSeq: x")
        banned.agent.receive(broken, HERE, 0.0)
        assert banned.agent.datagrams_to_send() == []

    def test_who_registers_is_not_asked_about_twice(self, door):
        [answer] = door.register(door.challenged())
        assert answer.status == 200
        assert [type(one) for one in door.agent.events()] == [Registered]
        assert len(door.guard.asked) == 1

    def test_the_registrar_tells_where_phones_are_as_long_as_they_are(self, door):
        registrar = door.agent.config.registrar
        assert list(registrar.hosts()) == []
        door.register(door.challenged())
        assert list(registrar.hosts()) == ["192.0.2.1"]
        registrar.remove("anna@house")
        assert list(registrar.hosts()) == []
