"""A browser's transport in memory and in virtual time: what passes, what does not, and what is told of the peer."""

import datetime as dt
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.io.pacer import TimerHeap
from media.transport import stun
from media.transport.dtls import Dtls, Identity
from media.transport.ice import Credentials
from media.transport.ice_dtls import PEER_V4, PEER_V6, IceDtlsTransport, News
from media.transport.srtp import SrtpProtection
from media.transport.stun import AttributeType, MessageClass
from tests.media.transport.public_srtp import PublicSrtp

TODAY = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)
OURS, THEIRS, OTHERS = Identity(TODAY), Identity(TODAY), Identity(TODAY)
CREDENTIALS, NEW = Credentials("abcd", "x" * 22), Credentials("efgh", "y" * 22)
WLAN, MOBILE, STRANGER = ("203.0.113.1", 4000), ("198.51.100.1", 5000), ("203.0.113.66", 6666)
PACKET = bytes.fromhex("800800010000000200000003") + b"hello"
numbers = itertools.count()


def in_buffer(packet):
    """At the beginning of a buffer that has room behind it, as the worker's has."""
    return memoryview(bytearray(packet) + bytes(64))[: len(packet)]


class Socket:
    """A `Transport` in memory; what is sent is kept with its address."""

    def __init__(self, *, is_v6=False):
        self.is_v6 = is_v6
        self.coming, self.sent, self.reports = [], [], []
        self.rejected = 0
        self.is_closed = False
        self.descriptors = (3, 3)

    def receive(self, buffer):
        if not self.coming:
            raise BlockingIOError
        datagram, address = self.coming.pop(0)
        buffer[: len(datagram)] = datagram
        return len(datagram), address

    def send(self, packet, address):
        self.sent.append((bytes(packet), address))
        return len(packet)

    def receive_reports(self):
        if not self.reports:
            raise BlockingIOError
        return self.reports.pop(0)

    def drops(self):
        return 4

    def close(self):
        self.is_closed = True


class Browser:
    """The far end, and all there is around our transport."""

    def __init__(self, *, identity=THEIRS, is_server=False, is_v6=False):
        self.now = 100.0
        self.socket, self.timers, self.events = Socket(is_v6=is_v6), TimerHeap(), []
        self.buffer = bytearray(2048)
        self.transport = IceDtlsTransport(
            self.socket,
            OURS,
            CREDENTIALS,
            protect=lambda keys: SrtpProtection(keys, lambda: self.now),
            at=self.timers.at,
            clock=lambda: self.now,
            tell=self.events.append,
        )
        self.dtls = Dtls(identity, is_client=not is_server)
        self.dtls.expect((OURS.fingerprint,))
        self.srtp = None

    def says(self, datagram, address=WLAN):
        """What reaches the leg of it; None: nothing."""
        self.socket.coming.append((datagram, address))
        try:
            octets, heard_from = self.transport.receive(self.buffer)
        except BlockingIOError:
            return None
        assert heard_from == self.transport.peer
        return bytes(self.buffer[:octets])

    def checks(self, address=WLAN, credentials=CREDENTIALS, *, nominates=True):
        more = [(AttributeType.USE_CANDIDATE, b"")] if nominates else []
        name = (AttributeType.USERNAME, f"{credentials.ufrag}:peer".encode())
        datagram = stun.compose(MessageClass.REQUEST, next(numbers).to_bytes(12, "big"), [name, *more], password=credentials.pwd)
        assert self.says(datagram, address) is None
        return self.answers()

    def answers(self):
        sent, self.socket.sent = self.socket.sent, []
        return sent

    def shakes_hands(self, address=WLAN, first=None):
        flight = self.dtls.start(self.now) if first is None else first
        while flight:
            for datagram in flight:
                assert self.says(datagram, address) is None
            flight = [reply for datagram, _ in self.answers() for reply in self.dtls.receive(datagram, self.now)]
        if self.dtls.state == "established":
            self.srtp = PublicSrtp(self.dtls.keys())

    def wait(self, until):
        """Let time pass, timer by timer."""
        while (deadline := self.timers.next_deadline()) is not None and deadline <= until:
            self.now = deadline
            for action in self.timers.due(deadline):
                action(deadline)
        self.now = until

    @property
    def news(self):
        events, self.events[:] = list(self.events), []
        return [event.news for event in events]


def connected():
    browser = Browser()
    browser.transport.expect([THEIRS.fingerprint])
    browser.checks()
    browser.shakes_hands()
    assert browser.news == [News.CONNECTED]
    return browser


def test_packets_pass_both_ways_once_there_are_keys():
    browser = connected()
    assert browser.says(browser.srtp.protect_rtp(PACKET)) == PACKET
    assert browser.transport.send(in_buffer(PACKET), browser.transport.peer) == len(PACKET) + 16
    ((sent, address),) = browser.answers()
    assert (browser.srtp.unprotect_rtp(sent), address) == (PACKET, WLAN)
    report = bytes.fromhex("80c9000100000003")
    assert browser.says(browser.srtp.protect_rtcp(report)) == report
    browser.transport.send_reports(report, browser.transport.peer, at_rtp_port=True)
    assert browser.srtp.unprotect_rtcp(browser.answers()[0][0]) == report
    assert browser.transport.rejected == 0


def test_nothing_passes_either_way_before_there_are_keys():
    browser = Browser()
    browser.checks()
    for attempt in (
        browser.transport.send,
        lambda packet, address: browser.transport.send_reports(bytes(packet), address, at_rtp_port=True),
    ):
        with pytest.raises(OSError, match="no keys"):
            attempt(in_buffer(PACKET), browser.transport.peer)
    assert browser.says(PACKET) is None
    assert browser.transport.rejected == 0  # nobody said yet that it is a browser's leg
    # The handshake is done, and the description has not come: still nothing.
    browser.shakes_hands()
    assert browser.says(browser.srtp.protect_rtp(PACKET)) is None
    with pytest.raises(OSError, match="no keys"):
        browser.transport.send(in_buffer(PACKET), browser.transport.peer)
    assert browser.answers() == []
    assert browser.news == []
    browser.transport.expect([THEIRS.fingerprint])
    assert browser.news == [News.CONNECTED]
    assert browser.says(browser.srtp.protect_rtp(PACKET[:3] + b"\x02" + PACKET[4:])) is not None


def test_the_ports_of_who_is_no_browser_are_as_they_were():
    browser = Browser()
    browser.checks()
    browser.shakes_hands()
    browser.says(b"\x50hello")
    assert browser.transport.bare() is browser.socket
    assert browser.socket.rejected == 1
    ((goodbye, address),) = browser.answers()
    browser.dtls.receive(goodbye, browser.now)
    assert (browser.dtls.state, address, browser.socket.is_closed) == ("closed", WLAN, False)
    browser.wait(500.0)
    assert (browser.timers.next_deadline(), browser.news) == (None, [])
    later = Browser()
    later.transport.expect([THEIRS.fingerprint])
    with pytest.raises(RuntimeError, match="without protection"):
        later.transport.bare()


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("is_late", [True, False])
def test_of_two_pages_that_begin_the_described_one_is_it(is_first, is_late):
    browser = Browser()
    pages = [Dtls(THEIRS, is_client=True), Dtls(OTHERS, is_client=True)]
    for page in pages:
        page.expect((OURS.fingerprint,))
    flights = [page.start(browser.now) for page in pages]
    if is_late:
        browser.transport.expect([(THEIRS if is_first else OTHERS).fingerprint])
    while any(flights):  # in turn, as they come
        for index, address in enumerate((WLAN, MOBILE)):
            browser.checks(address)
            for datagram in flights[index]:
                assert browser.says(datagram, address) is None
            flights[index] = [reply for datagram, to in browser.answers() if to == address for reply in pages[index].receive(datagram, 0.0)]
    if not is_late:
        assert browser.news == []
        browser.transport.expect([(THEIRS if is_first else OTHERS).fingerprint])
    assert browser.news == [News.CONNECTED]
    browser.srtp = PublicSrtp(pages[0 if is_first else 1].keys())
    assert browser.says(browser.srtp.protect_rtp(PACKET), WLAN if is_first else MOBILE) == PACKET
    browser.wait(400.0)
    assert News.FAILED not in browser.news


def test_a_page_that_is_gone_before_it_was_described_leaves_the_leg_to_the_next():
    browser = Browser()
    browser.checks()
    browser.shakes_hands()
    for datagram in browser.dtls.close():
        browser.says(datagram)
    assert browser.news == []
    browser.dtls = Dtls(OTHERS, is_client=True)
    browser.dtls.expect((OURS.fingerprint,))
    browser.shakes_hands()
    browser.transport.expect([OTHERS.fingerprint])
    assert browser.news == [News.CONNECTED]


def test_plain_packets_and_noise_are_rejected_and_counted():
    browser = connected()
    for number, noise in enumerate((PACKET, bytes.fromhex("80c9000100000003"), b"\x80", b"", b"\x50hello", b"\xff" * 40, b"\x00" * 40), 1):
        assert browser.says(noise) is None
        assert browser.transport.rejected == number
    protected = browser.srtp.protect_rtp(PACKET)
    assert browser.says(protected) == PACKET
    assert browser.says(protected) is None  # seen before


@pytest.mark.parametrize("then", ["nothing", "described again", "ICE restart", "another network"])
def test_a_packet_is_taken_once_whatever_happens_in_between(then):
    """RFC 3711 §3.3.2: the replay list is the keys', and they stay."""
    browser = connected()
    sealed, report = browser.srtp.protect_rtp(PACKET), browser.srtp.protect_rtcp(bytes.fromhex("80c9000100000003"))
    assert browser.says(sealed) == PACKET
    assert browser.says(report) is not None
    if then == "described again":
        browser.transport.expect([THEIRS.fingerprint])
    elif then == "ICE restart":
        browser.transport.restart(NEW)
        browser.transport.expect([THEIRS.fingerprint])
        browser.checks(credentials=NEW)
    elif then == "another network":
        browser.checks(MOBILE)
    for address in (WLAN, MOBILE, STRANGER):
        assert browser.says(sealed, address) is None
        assert browser.says(report, address) is None
    assert browser.transport.rejected == 6
    assert browser.events == []


def test_what_we_sent_is_not_taken_back():
    """Each direction has a key of its own (RFC 5764 §4.2)."""
    browser = connected()
    browser.transport.send(in_buffer(PACKET), browser.transport.peer)
    browser.transport.send_reports(bytes.fromhex("80c9000100000003"), browser.transport.peer, at_rtp_port=True)
    for sent, _ in browser.answers():
        assert browser.says(sent) is None
    assert browser.transport.rejected == 2


def test_packets_of_an_association_that_ended_are_not_taken_by_the_next():
    browser = connected()
    late = browser.srtp.protect_rtp(PACKET)
    browser.transport.expect([OTHERS.fingerprint])
    browser.dtls = Dtls(OTHERS, is_client=True)
    browser.dtls.expect((OURS.fingerprint,))
    browser.shakes_hands()
    assert browser.news == [News.CONNECTED]
    assert browser.says(late) is None
    assert browser.says(browser.srtp.protect_rtp(PACKET)) == PACKET


def test_a_handshake_from_an_address_without_a_good_check_is_not_heard():
    browser = Browser()
    browser.transport.expect([THEIRS.fingerprint])
    browser.checks()
    browser.shakes_hands(STRANGER)
    assert (browser.dtls.state, browser.news, browser.transport.rejected) == ("handshaking", [], 1)
    assert browser.transport.describe()["dtls"]["state"] == "new"
    browser.dtls = Dtls(THEIRS, is_client=True)
    browser.shakes_hands(WLAN)
    assert browser.news == [News.CONNECTED]


def test_the_handshake_may_begin_before_a_pair_is_nominated():
    browser = Browser()
    browser.transport.expect([THEIRS.fingerprint])
    browser.checks(nominates=False)
    browser.shakes_hands()
    assert browser.news == [News.CONNECTED]


def test_where_the_browser_goes_packets_follow():
    browser = connected()
    browser.checks(MOBILE)
    browser.transport.send(in_buffer(PACKET), browser.transport.peer)
    assert browser.answers()[0][1] == MOBILE
    # Packets of both paths are the same peer's, and nothing tells the leg.
    assert browser.says(browser.srtp.protect_rtp(PACKET), MOBILE) == PACKET
    assert browser.news == []


def test_silence_is_told_and_so_is_its_end():
    browser = connected()
    browser.wait(107.0)
    assert browser.says(browser.srtp.protect_rtp(PACKET)) == PACKET
    browser.wait(114.9)
    assert browser.news == []
    browser.wait(115.0)
    assert browser.news == [News.SUSPECT]
    assert browser.says(browser.srtp.protect_rtp(PACKET[:3] + b"\x02" + PACKET[4:])) is not None
    assert browser.news == [News.CONNECTED]
    browser.wait(123.0)
    browser.checks()
    assert browser.news == [News.SUSPECT, News.CONNECTED]
    browser.wait(200.0)
    assert browser.news == [News.SUSPECT, News.GONE]
    with pytest.raises(OSError, match="no browser"):
        browser.transport.send(in_buffer(PACKET), browser.transport.peer)


def test_an_ice_restart_revives_and_keeps_the_keys():
    browser = connected()
    browser.wait(140.0)
    assert browser.news == [News.SUSPECT, News.GONE]
    browser.transport.restart(NEW)
    browser.checks(MOBILE, NEW)
    assert browser.news == [News.CONNECTED]
    browser.transport.send(in_buffer(PACKET), browser.transport.peer)
    ((sent, address),) = browser.answers()
    assert (browser.srtp.unprotect_rtp(sent), address) == (PACKET, MOBILE)


def test_another_fingerprint_is_another_association_and_the_old_keys_hold_until_it_stands():
    browser = connected()
    browser.transport.expect([THEIRS.fingerprint])  # a re-INVITE: nothing new
    old = browser.srtp
    browser.transport.expect([OTHERS.fingerprint])
    assert browser.says(old.protect_rtp(PACKET)) == PACKET
    browser.dtls = Dtls(OTHERS, is_client=True)
    browser.dtls.expect((OURS.fingerprint,))
    browser.shakes_hands()
    assert browser.news == [News.CONNECTED]
    assert browser.says(old.protect_rtp(PACKET[:3] + b"\x02" + PACKET[4:])) is None
    assert browser.says(browser.srtp.protect_rtp(PACKET)) == PACKET
    assert browser.transport.rejected == 1


@pytest.mark.parametrize("is_checked_first", [True, False])
def test_who_is_active_begins_when_the_peer_is_there(is_checked_first):
    browser = Browser(is_server=True)
    if is_checked_first:
        browser.checks()
        browser.transport.expect([THEIRS.fingerprint], is_client=True)
        hello = browser.answers()
    else:
        browser.transport.expect([THEIRS.fingerprint], is_client=True)
        assert browser.answers() == []
        hello = browser.checks()[1:]
    assert [address for _, address in hello] == [WLAN]
    browser.shakes_hands(first=browser.dtls.receive(hello[0][0], browser.now))
    assert browser.news == [News.CONNECTED]
    assert browser.says(browser.srtp.protect_rtp(PACKET)) == PACKET


def test_a_goodbye_and_a_refusal_are_told_once():
    browser = connected()
    for datagram in browser.dtls.close():
        browser.says(datagram)
    assert browser.news == [News.CLOSED]
    browser.checks()
    browser.wait(500.0)
    assert browser.news == []
    with pytest.raises(OSError, match="no keys"):
        browser.transport.send(in_buffer(PACKET), browser.transport.peer)
    stranger = Browser()
    stranger.transport.expect([OTHERS.fingerprint])
    stranger.checks()
    stranger.shakes_hands()
    ((event),) = stranger.events
    assert (event.news, event.reason) == (News.FAILED, "the certificate is not the one of the session description")


def test_a_handshake_that_goes_nowhere_is_told():
    browser = Browser()
    browser.transport.expect([THEIRS.fingerprint])
    browser.checks()
    browser.says(browser.dtls.start(browser.now)[0])
    for second in range(101, 131):
        browser.checks()
        browser.wait(float(second))
    assert browser.news == [News.FAILED]


def test_closing_says_goodbye_and_leaves_no_timer():
    browser = connected()
    browser.answers()
    browser.transport.close()
    ((goodbye, address),) = browser.answers()
    browser.dtls.receive(goodbye, browser.now)
    assert (browser.dtls.state, address, browser.socket.is_closed) == ("closed", WLAN, True)
    assert browser.timers.next_deadline() is None


def test_a_socket_that_cannot_send_stops_nothing():
    browser = Browser()

    def refuse(_packet, _address):
        raise OSError(101, "network unreachable")

    browser.socket.send = refuse
    browser.transport.expect([THEIRS.fingerprint])
    browser.checks()
    browser.says(browser.dtls.start(browser.now)[0])
    del browser.socket.send
    ((answer, address),) = browser.checks()
    assert (stun.parse(answer).message_class, address) == (MessageClass.SUCCESS, WLAN)


@given(st.lists(st.tuples(st.sampled_from([b"", b"\x00", b"\x16\xfe\xfd", b"\x80\x08", b"\x80\xc8"]), st.binary(max_size=80)), max_size=8))
@settings(max_examples=20, deadline=None)
def test_no_datagrams_stop_a_browser_or_what_comes_behind_them(junk):
    browser = Browser()
    browser.transport.expect([THEIRS.fingerprint])
    for first, rest in junk:
        assert browser.says(first + rest) is None
    browser.checks()
    browser.shakes_hands()
    assert browser.news == [News.CONNECTED]
    for first, rest in junk:
        assert browser.says(first + rest) is None
    assert browser.says(browser.srtp.protect_rtp(PACKET)) == PACKET


def test_what_the_leg_sees_of_the_line():
    transport = Browser().transport
    assert (transport.peer, transport.is_v6, transport.descriptors, transport.drops()) == (PEER_V4, False, (3, 3), 4)
    assert Browser(is_v6=True).transport.peer == PEER_V6
    with pytest.raises(BlockingIOError):
        transport.receive_reports()


def test_nothing_reaches_the_leg_from_the_port_beside():
    browser = connected()
    browser.socket.reports.append((b"\x80\xc9\x00\x01\x00\x00\x00\x03", STRANGER))
    with pytest.raises(BlockingIOError):
        browser.transport.receive_reports()
    assert (browser.socket.reports, browser.transport.rejected) == ([], 1)


def test_addresses_with_good_checks_are_kept_up_to_a_few():
    browser = Browser()
    browser.transport.expect([THEIRS.fingerprint])
    for port in range(40):
        browser.checks(("203.0.113.1", 4000 + port))
    browser.shakes_hands(("203.0.113.1", 4000))
    assert browser.dtls.state == "handshaking"
    browser.dtls = Dtls(THEIRS, is_client=True)
    browser.dtls.expect((OURS.fingerprint,))
    browser.shakes_hands(("203.0.113.1", 4039))
    assert browser.dtls.state == "established"
