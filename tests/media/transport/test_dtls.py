"""DTLS-SRTP over memory: both roles against each other and against plain pyOpenSSL, in order and not, and what must not get any keys."""

import datetime as dt
import heapq
import itertools
import random
import time

import pylibsrtp
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import CertificateBuilder, Name, random_serial_number
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from media.errors import ParseError
from media.transport import dtls
from media.transport.dtls import Dtls, Fingerprint, Identity, Input, Reason, State, datagrams
from media.transport.keys import LENGTHS, Suite

TODAY = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)
OURS, THEIRS, STRANGER = Identity(TODAY), Identity(TODAY), Identity(TODAY)


def pair(*, server_expects=THEIRS, client_expects=OURS):
    server, client = Dtls(OURS), Dtls(THEIRS, is_client=True)
    for end, expected in ((server, server_expects), (client, client_expects)):
        if expected is not None:
            assert end.expect((expected.fingerprint,)) == []
    return server, client


def shake_hands(server, client, to_server=None):
    """In order, until nobody says any more; what went to the server, and to the client."""
    pending = client.start(0.0) if to_server is None else to_server
    sent, received = [], []
    while pending:
        sent += pending
        back = [each for datagram in pending for each in server.receive(datagram, 0.0)]
        received += back
        pending = [each for datagram in back for each in client.receive(datagram, 0.0)]
    return sent, received


class Plain:
    """A client of pyOpenSSL as it comes, with a context of one's own."""

    def __init__(self, *, identity, profiles=b"SRTP_AES128_CM_SHA1_80", alpn=(), newest=None, ciphers=None):
        context = SSL.Context(SSL.DTLS_METHOD)
        if newest is not None:
            context.set_min_proto_version(newest)
            context.set_max_proto_version(newest)
        if ciphers is not None:
            context.set_cipher_list(ciphers)
        context.set_options(SSL.OP_NO_QUERY_MTU)
        context.set_verify(SSL.VERIFY_NONE)
        if profiles:
            context.set_tlsext_use_srtp(profiles)
        if alpn:
            context.set_alpn_protos(list(alpn))
        self.ssl = SSL.Connection(context, None)
        if identity is not None:
            self.ssl.use_certificate(identity.certificate)
            self.ssl.use_privatekey(identity.key)
        self.ssl.set_ciphertext_mtu(1200)
        self.ssl.set_connect_state()
        self.error = None

    def start(self, _now):
        return self._go_on(self.ssl.do_handshake)

    def receive(self, datagram, _now):
        self.ssl.bio_write(datagram)
        return self._go_on(self.ssl.do_handshake) + self._go_on(lambda: self.ssl.recv(1))

    def _go_on(self, step):
        try:
            step()
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self.error = error
        out = b""
        while True:
            try:
                out += self.ssl.bio_read(4096)
            except SSL.Error:
                return list(datagrams(out))


class Shown:
    """A certificate and its key, for who is not one of ours."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        builder = CertificateBuilder().subject_name(Name([])).issuer_name(Name([])).public_key(self.key.public_key())
        dated = builder.serial_number(random_serial_number()).not_valid_before(TODAY).not_valid_after(TODAY + dt.timedelta(1))
        self.certificate = dated.sign(self.key, hashes.SHA256())
        self.digests = {
            name: self.certificate.fingerprint(function).hex(":").upper()
            for name, function in (("sha-1", hashes.SHA1()), ("sha-256", hashes.SHA256()), ("sha-512", hashes.SHA512()))
        }
        self.fingerprint = Fingerprint("sha-256", self.digests["sha-256"])


SHOWN = Shown()


def sessions(keys):
    profile = {
        Suite.AEAD_AES_128_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
        Suite.AES_CM_128_HMAC_SHA1_80: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    }[keys.suite]
    policy = pylibsrtp.Policy
    send = pylibsrtp.Session(policy(keys.send, policy.SSRC_ANY_OUTBOUND, srtp_profile=profile))
    receive = pylibsrtp.Session(policy(keys.receive, policy.SSRC_ANY_INBOUND, srtp_profile=profile))
    return send, receive


def test_both_ends_get_the_same_keys_and_srtp_works_with_them_both_ways():
    server, client = pair()
    sent, received = shake_hands(server, client)
    assert (server.state, client.state) == (State.ESTABLISHED, State.ESTABLISHED)
    ours, theirs = server.keys(), client.keys()
    assert ours.suite is theirs.suite is Suite.AEAD_AES_128_GCM
    assert (ours.send, ours.receive) == (theirs.receive, theirs.send)
    assert ours.send != ours.receive
    packet = bytes.fromhex("8008000100000002000000ff") + b"hello"
    (send, receive), (their_send, their_receive) = sessions(ours), sessions(theirs)
    assert their_receive.unprotect(send.protect(packet)) == packet
    assert receive.unprotect(their_send.protect(packet)) == packet
    assert max(map(len, sent + received)) <= 1200
    assert server.next_timeout(0.0) is None


@pytest.mark.parametrize(
    ("offered", "suite"),
    [
        (b"SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM", Suite.AEAD_AES_128_GCM),
        (b"SRTP_AES128_CM_SHA1_32:SRTP_AES128_CM_SHA1_80", Suite.AES_CM_128_HMAC_SHA1_80),
        (b"SRTP_AEAD_AES_256_GCM:SRTP_AEAD_AES_128_GCM", Suite.AEAD_AES_128_GCM),
    ],
)
def test_the_best_profile_that_both_have_is_taken_and_exported_alike(offered, suite):
    server, client = Dtls(OURS), Plain(identity=SHOWN, profiles=offered)
    server.expect((SHOWN.fingerprint,))
    shake_hands(server, client)
    assert server.state is State.ESTABLISHED
    keys, lengths = server.keys(), LENGTHS[suite]
    assert keys.suite is suite
    material = client.ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * lengths.master)
    client_key, server_key = material[:16], material[16:32]
    client_salt, server_salt = material[32 : 32 + lengths.salt], material[32 + lengths.salt :]
    assert (keys.receive, keys.send) == (client_key + client_salt, server_key + server_salt)


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (lambda: Plain(identity=SHOWN, profiles=b"SRTP_AES128_CM_SHA1_32"), Reason.NO_COMMON_PROFILE),
        (lambda: Plain(identity=SHOWN, profiles=b""), Reason.NO_COMMON_PROFILE),
        (lambda: Plain(identity=None), Reason.NO_CERTIFICATE),
    ],
)
def test_who_has_no_profile_or_no_certificate_is_refused_and_told(client, reason):
    server, client = Dtls(OURS), client()
    server.expect((SHOWN.fingerprint,))
    shake_hands(server, client)
    assert (server.state, server.reason) == (State.FAILED, reason)
    assert client.error is not None  # a fatal alert, or a close_notify
    with pytest.raises(RuntimeError):
        server.keys()
    assert server.receive(b"\x16hello", 1.0) == []
    assert server.next_timeout(1.0) is None


DTLS_1_0 = 0xFEFF
ALERT = 21


@pytest.mark.parametrize(
    "weak",
    [
        {"newest": DTLS_1_0, "ciphers": b"ALL:@SECLEVEL=0"},  # OpenSSL has it only where nothing is asked of it
        {"ciphers": b"ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"},  # HMAC-SHA1, and no AEAD
        {"ciphers": b"AECDH-AES128-SHA:@SECLEVEL=0"},  # nobody shows a certificate
        {"ciphers": b"ECDHE-ECDSA-NULL-SHA:@SECLEVEL=0"},
    ],
)
def test_who_can_do_less_than_we_demand_is_refused(weak):
    """RFC 8827 §6.5: DTLS 1.2, and an AEAD under forward secrecy; what is older is not even answered with a certificate."""
    server, client = Dtls(OURS), Plain(identity=SHOWN, **weak)
    server.expect((SHOWN.fingerprint,))
    sent, received = shake_hands(server, client)
    assert sent
    assert (server.state, server.reason) == (State.FAILED, Reason.HANDSHAKE)
    assert client.error is not None
    assert {datagram[0] for datagram in received} == {ALERT}
    with pytest.raises(RuntimeError):
        server.keys()


class TestFingerprint:
    def test_another_certificate_is_refused_and_gets_no_keys(self):
        server, client = pair(server_expects=STRANGER)
        shake_hands(server, client)
        assert (server.state, server.reason) == (State.FAILED, Reason.WRONG_FINGERPRINT)
        assert client.state is State.CLOSED
        with pytest.raises(RuntimeError):
            server.keys()

    def test_the_verdict_waits_for_the_description(self):
        server, client = pair(server_expects=None)
        shake_hands(server, client)
        assert (server.state, client.state) == (State.AWAITING_FINGERPRINT, State.ESTABLISHED)
        with pytest.raises(RuntimeError):
            server.keys()
        assert server.expect((THEIRS.fingerprint,)) == []
        assert server.state is State.ESTABLISHED
        assert server.keys().send == client.keys().receive

    def test_a_wrong_one_that_comes_later_ends_it_with_a_close_notify(self):
        server, client = pair(server_expects=None)
        shake_hands(server, client)
        (goodbye,) = server.expect((STRANGER.fingerprint,))
        assert (server.state, server.reason) == (State.FAILED, Reason.WRONG_FINGERPRINT)
        client.receive(goodbye, 0.0)
        assert client.state is State.CLOSED

    def test_what_was_said_first_holds(self):
        server, client = pair(server_expects=STRANGER)
        server.expect((THEIRS.fingerprint,))
        shake_hands(server, client)
        assert server.state is State.FAILED

    @pytest.mark.parametrize(
        ("described", "is_right"),
        [
            (("sha-512", "sha-256"), True),
            (("sha-256 wrong", "sha-256"), True),
            # RFC 8122 §5: the strongest known function decides.
            (("sha-512 wrong", "sha-256"), False),
            (("sha-1",), False),
            (("sha-999 AB:CD",), False),
            (("sha-999 AB:CD", "sha-256"), True),
            ((), False),
        ],
    )
    def test_of_several_the_strongest_hash_function_counts(self, described, is_right):
        expected = []
        for text in described:
            name, _, value = text.partition(" ")
            digest = SHOWN.digests[name] if not value else "AB:CD" if value == "AB:CD" else STRANGER.fingerprint.digest
            expected.append(Fingerprint.parse(f"{name.upper()} {digest.lower()}"))
        server = Dtls(OURS)
        server.expect(tuple(expected))
        shake_hands(server, Plain(identity=SHOWN))
        assert (server.state is State.ESTABLISHED) is is_right

    @pytest.mark.parametrize("text", ["", "sha-256", "sha-256 ", "sha-256 ABCD", "sha-256 AB:C", "sha-256 AB:GG", "sha-256 AB:", " AB:CD"])
    def test_what_is_none_is_refused(self, text):
        with pytest.raises(ParseError):
            Fingerprint.parse(text)

    def test_ours_is_written_as_descriptions_have_it(self):
        text = str(OURS.fingerprint)
        assert text.startswith("sha-256 ")
        assert len(text) == 8 + 95
        assert Fingerprint.parse(text) == OURS.fingerprint


def test_a_hello_in_two_datagrams_is_put_together_in_either_order():
    """As browsers send it, with a key share of X25519MLKEM768; here it is long by ALPN."""
    for order in ((0, 1), (1, 0)):
        server, client = Dtls(OURS), Plain(identity=SHOWN, alpn=[b"%045d" % number for number in range(28)])
        server.expect((SHOWN.fingerprint,))
        hello = client.start(0.0)
        assert len(hello) == 2
        shake_hands(server, client, [hello[at] for at in order])
        assert server.state is State.ESTABLISHED


@pytest.mark.parametrize("seed", range(12))
def test_the_handshake_bears_late_doubled_and_reordered_datagrams(seed):
    """What is lost comes a second later, as what is sent again does; one timer of OpenSSL's own is the test below."""
    chance = random.Random(seed)
    server, client = pair()
    order = itertools.count()
    line = []

    def send(to, sent, now):
        for datagram in sent:
            for _ in range(chance.choice((1, 1, 1, 2))):
                heapq.heappush(line, (now + chance.random() / 10 + chance.choice((0, 0, 1)), next(order), to, datagram))

    send(server, client.start(0.0), 0.0)
    while line:
        now, _, to, datagram = heapq.heappop(line)
        send(client if to is server else server, to.receive(datagram, now), now)
    assert (server.state, client.state) == (State.ESTABLISHED, State.ESTABLISHED)
    assert server.keys().send == client.keys().receive


def test_whatever_datagram_is_lost_is_sent_again_after_the_timer():
    """Real time, as the timer is OpenSSL's: a second, in which all pairs wait at once."""
    pairs = {lost: pair() for lost in range(4)}  # client, server, client, server: the datagrams of a handshake without losses
    counts = dict.fromkeys(pairs, 0)

    def carry(lost, to, sent):
        server, client = pairs[lost]
        for datagram in sent:
            number = counts[lost]
            counts[lost] += 1
            if number != lost:
                carry(lost, client if to is server else server, to.receive(datagram, time.monotonic()))

    for lost, (server, client) in pairs.items():
        carry(lost, server, client.start(time.monotonic()))
        assert State.HANDSHAKING in {server.state, client.state}
    deadline = time.monotonic() + 5
    while any(end.state is not State.ESTABLISHED for both in pairs.values() for end in both):
        now = time.monotonic()
        assert now < deadline
        due = [at for both in pairs.values() for end in both if (at := end.next_timeout(now)) is not None]
        time.sleep(max(0.0, min(due) - now))
        for lost, (server, client) in pairs.items():
            carry(lost, client, server.handle_timeout(time.monotonic()))
            carry(lost, server, client.handle_timeout(time.monotonic()))
    assert min(counts.values()) >= 5
    for server, client in pairs.values():
        assert server.keys().send == client.keys().receive


def test_a_handshake_that_goes_nowhere_ends():
    server, client = pair()
    assert server.next_timeout(0.0) is None
    (hello,) = client.start(100.0)
    server.receive(hello, 100.0)
    assert 100.0 < client.next_timeout(100.0) <= 101.0
    assert client.handle_timeout(129.9) == []  # OpenSSL's own clock has not moved
    assert client.state is State.HANDSHAKING
    assert client.next_timeout(130.5) == 130.0
    client.handle_timeout(130.0)
    assert (client.state, client.reason, client.next_timeout(130.0)) == (State.FAILED, Reason.TIMED_OUT, None)


class TestEnd:
    def test_close_notify_ends_both(self):
        server, client = pair()
        shake_hands(server, client)
        (goodbye,) = client.close()
        assert client.state is State.CLOSED
        (answer,) = server.receive(goodbye, 0.0)
        assert (server.state, server.reason) == (State.CLOSED, None)
        assert client.receive(answer, 0.0) == []
        assert server.close() == []
        with pytest.raises(RuntimeError):
            server.keys()

    def test_close_notify_while_the_fingerprint_is_awaited(self):
        server, client = pair(server_expects=None)
        shake_hands(server, client)
        server.receive(client.close()[0], 0.0)
        assert server.state is State.CLOSED
        assert server.expect((THEIRS.fingerprint,)) == []
        assert server.state is State.CLOSED

    def test_closed_before_it_began_or_in_the_middle_nothing_is_said(self):
        server, client = pair()
        assert server.close() == []
        assert (server.state, server.receive(client.start(0.0)[0], 0.0)) == (State.CLOSED, [])
        server, client = pair()
        server.receive(client.start(0.0)[0], 0.0)
        server.close()
        assert server.state is State.CLOSED

    def test_data_is_read_and_is_nothing_to_us(self):
        server, client = Dtls(OURS), Plain(identity=SHOWN)
        server.expect((SHOWN.fingerprint,))
        shake_hands(server, client)
        (datagram,) = client._go_on(lambda: client.ssl.send(b"data channel"))
        assert server.receive(datagram, 0.0) == []
        assert server.state is State.ESTABLISHED


def test_a_server_does_not_begin_and_a_client_begins_once():
    server, client = pair()
    assert server.start(0.0) == []
    assert len(client.start(0.0)) == 1
    assert client.start(0.0) == []


def test_every_state_takes_every_input():
    for state, event in itertools.product(State, Input):
        end = Dtls(OURS)
        end.state = state
        edge = dtls.TRANSITIONS[state].get(event)
        assert end._step(event) is (edge is not None)
        assert end.state is (edge.state if edge else state)


@given(st.lists(st.binary(max_size=300), max_size=4))
@settings(max_examples=25, deadline=None)
def test_no_octets_stop_a_new_association(junk):
    server, client = pair()
    for octets in junk:
        server.receive(octets, 0.0)
        server.receive(b"\x16\xfe\xfd" + octets, 0.0)
    assert server.state in {State.NEW, State.HANDSHAKING, State.FAILED}
    client.receive(b"".join(junk), 0.0)


def test_no_octets_harm_an_established_association():
    chance = random.Random(1)
    server, client = pair()
    shake_hands(server, client)
    (goodbye,) = client.close()
    for _ in range(300):
        junk = bytearray(goodbye)
        for at in chance.sample([0, *range(3, len(junk))], 3):  # OpenSSL does not look at the version's second octet
            junk[at] ^= chance.randrange(1, 256)
        server.receive(bytes(junk), 0.0)
        server.receive(chance.randbytes(chance.randrange(60)), 0.0)
    assert server.state is State.ESTABLISHED
    server.receive(goodbye, 0.0)
    assert server.state is State.CLOSED


def test_changed_hellos_stop_nobody():
    chance = random.Random(2)
    (hello,) = pair()[1].start(0.0)
    states = set()
    for _ in range(200):
        junk = bytearray(hello)
        for _ in range(chance.randrange(1, 6)):
            junk[chance.randrange(len(junk))] = chance.randrange(256)
        server = Dtls(OURS)
        server.receive(bytes(junk), 0.0)
        states.add(server.state)
        assert server.state is not State.FAILED or server.reason is Reason.HANDSHAKE
    assert states >= {State.HANDSHAKING, State.FAILED}


def record(octets, kind=22):
    return bytes((kind, 0xFE, 0xFD)) + bytes(8) + octets.to_bytes(2, "big") + bytes(octets)


@pytest.mark.parametrize(
    ("records", "cut"),
    [
        ([], []),
        ([100], [113]),
        ([100, 200, 300], [639]),
        ([500, 500, 500], [1026, 513]),
        ([1187], [1200]),
        ([1187, 10], [1200, 23]),
        ([2000, 10], [2013, 23]),
        ([10, 2000, 10], [23, 2013, 23]),
    ],
)
def test_datagrams_are_cut_on_the_bounds_of_records(records, cut):
    flight = b"".join(map(record, records))
    assert [len(each) for each in datagrams(flight)] == cut
    assert b"".join(datagrams(flight)) == flight


def test_records_of_dtls_1_3_are_cut_too():
    short, long = bytes((0x24, 1, 0, 5)) + bytes(5), bytes((0x2C, 0, 1, 0, 7)) + bytes(7)
    open_ended = bytes((0x20, 1)) + bytes(30)
    assert list(datagrams(short + long + open_ended, 12)) == [short, long, open_ended]


def test_a_cut_off_record_is_passed_on_as_it_is():
    assert list(datagrams(record(100)[:50])) == [record(100)[:50]]
    assert list(datagrams(b"\x16")) == [b"\x16"]
    assert list(datagrams(b"\x2c")) == [b"\x2c"]


def test_no_key_shows():
    server, client = pair()
    shake_hands(server, client)
    keys = server.keys()
    for text in (repr(keys), repr(server), repr(server.describe()), repr(OURS)):
        assert keys.send.hex() not in text
        assert repr(keys.send)[2:-1] not in text
