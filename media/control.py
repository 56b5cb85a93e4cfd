"""The control protocol between the main process and a media worker: house protocol, DESIGN.md §4.

One connection per worker (unix or TCP socket), both directions, each message one MessagePack-encoded tagged struct
behind a 32-bit big-endian length. The main process sends `Request`s, the worker answers the ones that carry
`request` with `Reply` and reports everything else as `Report`. A leg is named by the exchange; the worker knows nothing
of calls, queues or SIP. Media time is not in here: the worker owns the clock of its packets.

The worker speaks first: a `Greeting` with the version of these words. A main process that reads another version than its own sends
nothing but `TakeOver` and reads nothing more. For that the length in front, `Greeting.version` and the form of `TakeOver` stay as they
are in every version; whoever changes anything else here raises `VERSION`.

A main process that finds a worker of its own version with legs says `Adopt` instead, and may then say again whatever is in force: what a
leg is told to do and does already (`Play`, `ArrangeAudio`, `StartRecording`, `RecordLeg`, `PauseRecording`) changes nothing.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from media.codecs.registry import CODECS
from media.transport.ice import Credentials
from media.transport.keys import SrtpKeys

VERSION = 8
"""Of the words below."""

MAX_NOTE_OCTETS = 1 << 16
"""A dialog with all its route sets and both descriptions is a few thousand."""

Codec = str
"""A name of `media.codecs.registry`."""


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of all messages: frozen, tagged by class name; a field that is not known here is refused."""


# ---------------------------------------------------------------------- main process -> worker


class OpenLeg(_Message, frozen=True, kw_only=True):
    """Bind an RTP/RTCP port pair for `leg` on `address`; answered by `LegOpened` or `Refused`."""

    request: int
    leg: str
    address: str
    """Local IP address (v4 or v6) the ports are bound to."""
    loss_concealment: bool = True
    ice: Credentials | None = None
    """The far end may turn out to be a browser: checks at the RTP port are answered with these (ICE-lite), a DTLS handshake is held there,
    and nothing else is taken or sent until `DescribeLeg` says what it is. None: it will be none."""


class Browser(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a browser said of itself in its SDP, where it is, it did not; or a phone that shakes hands for its keys (RFC 5763)."""

    fingerprints: tuple[str, ...]
    """Of its certificate, as `a=fingerprint` has them (RFC 8122); others than before begin another association."""
    is_client: bool = False
    """We are the active end of the DTLS association: it answered `a=setup:passive`."""
    ice: Credentials | None = None
    """Ours from now on, as its description has another ufrag: an ICE restart (RFC 8445 §9). None, or the same: none."""
    has_ice: bool = True
    """Its checks tell where it is. False: a phone that does none: it is where the addresses beside this say until its handshake, or what
    comes later, tells better; with a port of its own for RTCP it has a handshake of its own there (RFC 5764 §4.1)."""


class DescribeLeg(_Message, frozen=True, kw_only=True):
    """What the far end of `leg` said in its SDP; may come again after a re-INVITE. Packets flow from now on."""

    leg: str
    remote_address: str
    remote_port: int
    remote_rtcp_port: int
    codec: Codec
    payload_type: int
    """Of the audio it takes."""
    receive_payload_type: int | None = None
    """Of the audio it sends, which is the number in our description (RFC 3264 §5.1); None: the same."""
    ptime_ms: int = 20
    """Of what we make ourselves, one of `media.frame.PTIMES_MS`; and of what is relayed, if the far end asked for it or bears no more."""
    asks_ptime: bool = False
    """It said so itself; else it takes packets of whatever length they have."""
    maxptime_ms: int | None = None
    """The longest packets it takes."""
    digits_by_info: bool = False
    """Keys of its partner are told to it by signalling: where it has no `telephone_event` nothing is sent in band."""
    telephone_event: int | None = None
    """Payload type of RFC 4733 events the far end accepts; None: send digits in band."""
    receive_telephone_event: int | None = None
    """Payload type of the events it sends, which is the number in our description (RFC 3264 §5.1); None: the same."""
    renumbered_telephone_event: int | None = None
    """Another payload type of the events it sends: its own number, which some devices send by although the one above is right."""
    sends: bool = True
    """We may send to the far end (its direction is sendrecv or recvonly)."""
    receives: bool = True
    """We accept packets from the far end."""
    silence_timeout_s: float = 0.0
    """Report `LegSilent` after so long without RTP of any kind and without RTCP, while `receives`; 0 never."""
    signals_from: tuple[str, ...] = ()
    """Addresses its signalling came from, and others known to be its own: audio from there is believed to be its own, and where one
    of them is described, audio goes there whoever else sends (`media.rtp.latch`)."""
    until_heard: bool = False
    """The address is no place to send to: nothing is sent, audio or reports, until packets of the far end tell where it is."""
    browser: Browser | None = None
    """Keys come of a handshake. One that has ICE: of a leg that was opened with `ice`, and of no other; the addresses above mean nothing
    then, everything goes over the RTP port. None: it is plain or has `srtp`, checks and handshakes are nothing to it. A leg that was
    described with a handshake once has no other keys than those of one, and stays with or without ICE."""
    comfort_noise: int | None = None
    """Payload type of RFC 3389 noise the far end accepts; None: it gets audio instead."""
    receive_comfort_noise: int | None = None
    """Payload type of the noise it sends; None: the same. 13 is noise to us whether or not it was agreed on."""
    fmtp: str = ""
    """What the far end says of how it likes the codec (`a=fmtp` without the payload type): kept when we encode."""
    srtp: SrtpKeys | None = None
    """Both directions, audio and reports, are protected under these, and nothing plain is taken or sent; None: plain. A key that stays the
    same keeps its replay window; of one that is new on their side the old one is taken a moment longer."""

    def __post_init__(self) -> None:
        """Raises: ValueError: a codec that is not ours; who reads the message gets a `msgspec.ValidationError`."""
        if self.codec not in CODECS:
            raise ValueError(f"no codec is called {self.codec[:20]!r}")


class ArrangeAudio(_Message, frozen=True, kw_only=True):
    """Who hears whom in a room, as pairs of legs (listener, speaker); who is in none of them hears nothing and is not heard.

    Declared: whatever was arranged in the room before and is not in here is over, the same again changes nothing. A leg is in one room at
    a time; pairs of legs that are not open are left out; a leg that hears itself has an echo. What plays to a leg stands over what it
    hears and ends by itself or by `Stop`.
    """

    room: str
    hears: tuple[tuple[str, str], ...] = ()


class Play(_Message, frozen=True, kw_only=True):
    """Play sound names one after the other to `leg` (names as `de/queue.greeting`, without suffix); replaces what plays.

    A name that is not there is left out. `PlayEnded` is reported once: when the last sound was sent, when `Stop` or another `Play` cut it,
    or when there is none of them. The `play` that plays already goes on where it is.
    """

    leg: str
    play: str
    sounds: tuple[str, ...]
    folder: str = ""
    """Where the names `@<id>` are, as `<id>.wav`: one tenant's own sounds. An id stands for the same audio for ever."""
    loop: bool = False
    stop_on_digit: bool = False
    behind: tuple[str, ...] = ()
    """Played over and over behind it if it ends while there is no main process that could say what comes next."""


class Stop(_Message, frozen=True, kw_only=True):
    """Stop what plays on `leg`; nothing happens when nothing plays."""

    leg: str


class SendDigits(_Message, frozen=True, kw_only=True):
    """Send DTMF towards the far end of `leg` as RFC 4733 events (in band where it offered none)."""

    leg: str
    digits: str
    duration_ms: int = 100
    gap_ms: int = 60


class StartRecording(_Message, frozen=True, kw_only=True):
    """Record into a WAV file, 8 kHz 16 bit, one channel per leg in the order given; aligned on one time line.

    A leg that closes leaves its channel silent; with the last one the recording ends. Nothing happens when it runs already, into this path.
    """

    recording: str
    path: str
    legs: tuple[str, ...]


class RecordLeg(_Message, frozen=True, kw_only=True):
    """Give `leg` a channel of its own in a recording that runs, behind the others, silent up to now; nothing happens when it has one."""

    recording: str
    leg: str


class StopRecording(_Message, frozen=True, kw_only=True):
    """Close the file; answered by the report `RecordingEnded`."""

    recording: str


class PauseRecording(_Message, frozen=True, kw_only=True):
    """Write silence instead of audio until resumed (card numbers must not be kept)."""

    recording: str
    paused: bool
    legs: tuple[str, ...] = ()
    """Only the channels of these, whether or not all are paused besides (a party that is put on hold); empty: all."""


class CloseLeg(_Message, frozen=True, kw_only=True):
    """Free the ports of `leg`; the report `LegClosed` with its quality follows."""

    leg: str


class NoteLeg(_Message, frozen=True, kw_only=True):
    """What the main process wants kept with `leg` for whoever comes after it; the newest stands. The worker does not look into it.

    Nothing happens when the leg is not open.
    """

    leg: str
    note: bytes

    def __post_init__(self) -> None:
        """Raises: ValueError: longer than `MAX_NOTE_OCTETS`; who reads the message gets a `msgspec.ValidationError`."""
        if len(self.note) > MAX_NOTE_OCTETS:
            raise ValueError(f"a note of {len(self.note)} octets, more than {MAX_NOTE_OCTETS}, about leg {self.leg[:80]!r}")

    def __repr__(self) -> str:
        """Without the note: keys are in it."""
        return f"NoteLeg(leg={self.leg!r}, {len(self.note)} octets)"


class AskStatus(_Message, frozen=True, kw_only=True):
    """Answered by `Status`."""

    request: int


class AskHeld(_Message, frozen=True, kw_only=True):
    """What is there now? Answered by `Held` without notes. Cheap: asked every second by whoever compares."""

    request: int


class Adopt(_Message, frozen=True, kw_only=True):
    """From the successor of a main process that is gone: say what was kept, in order, then `Held` with all notes, and go on.

    No leg closes and no packet is missed; the time of an orphan is over.
    """

    request: int


class TakeOver(_Message, frozen=True, kw_only=True):
    """From the successor of a main process that is gone: say what was kept, close legs and recordings, report them, and end.

    `TakenOver` is the last message. Works on every connection, in every version.
    """

    request: int


class Shutdown(_Message, frozen=True, kw_only=True):
    """Close all legs, report them, and end."""


Request = (
    OpenLeg
    | DescribeLeg
    | ArrangeAudio
    | Play
    | Stop
    | SendDigits
    | StartRecording
    | RecordLeg
    | StopRecording
    | PauseRecording
    | CloseLeg
    | NoteLeg
    | AskStatus
    | AskHeld
    | Adopt
    | TakeOver
    | Shutdown
)


# ---------------------------------------------------------------------- worker -> main process


class Greeting(_Message, frozen=True, kw_only=True):
    """The first message on every connection: who is there and what it holds. What was kept is sent after `Adopt` or `TakeOver` only."""

    version: int
    pid: int
    legs: tuple[str, ...] = ()
    recordings: tuple[str, ...] = ()
    ports: tuple[int, int] = (0, 0)
    """First and last, as it was started."""


class LegOpened(_Message, frozen=True, kw_only=True):
    """Reply to `OpenLeg`: the ports that are bound; RTP is even, RTCP is RTP + 1 (RFC 3550 §11). A browser uses the first alone."""

    request: int
    leg: str
    address: str
    rtp_port: int
    rtcp_port: int
    fingerprint: str = ""
    """Of the certificate that is shown where there is a handshake, as `a=fingerprint` has it; the same for all legs of a worker."""


class Refused(_Message, frozen=True, kw_only=True):
    """Reply: the request could not be carried out; `reason` says why in one English sentence."""

    request: int
    reason: str


class Quality(_Message, frozen=True, kw_only=True):
    """What was measured on one leg until it closed. Receive side by us, send side from the peer's RTCP reports (RFC 3550 §6.4)."""

    packets_sent: int
    packets_received: int
    packets_lost: int
    """Received side, RFC 3550 A.3 cumulative number of packets lost (never below 0 here)."""
    packets_late_or_duplicate: int
    jitter_ms: float
    round_trip_ms: float | None
    remote_loss_fraction: float | None
    """Share of our packets the far end reports lost, 0..1; None when it sent no RTCP."""
    mos: float | None
    """ITU-T G.107 R mapped to MOS, the codec with our concealment, receive side; 0.0 (off the scale) when no packet came, None for a codec
    that the scale has no figures of."""
    r_factor: float | None
    codec: str
    jitter_buffer_ms: float = 0.0
    """What its audio waited in the jitter buffer on average, while it was mixed; relayed audio waits nowhere."""
    jitter_buffer_max_ms: float = 0.0
    """The most that it waited."""
    concealed_frames: int = 0
    """Times that its audio was made up because nothing had come, while it was mixed."""


class Status(_Message, frozen=True, kw_only=True):
    """Reply to `AskStatus`: figures of the worker itself."""

    request: int
    legs: int
    bridges: int
    recordings: int
    packets_received: int
    packets_sent: int
    packets_dropped: int
    """Packets lost inside the worker: socket buffer overruns and send errors."""
    late_ticks: int
    """20 ms ticks that began more than 5 ms late."""
    cpu_s: float
    ports_free: int
    packets_of_unknown_type: int = 0
    """RTP packets that were dropped because their payload type was not agreed on."""
    packets_rejected: int = 0
    """Datagrams on protected transports that did not prove to be the far end's (`media.transport`), and were dropped."""
    legs_protected: int = 0
    """Of `legs`, those that have keys."""
    legs_opus: int = 0
    """Of `legs`, those that speak an `UnevenCodec`: dear ones."""
    packets_of_noise: int = 0
    """Packets of comfort noise that was agreed on (RFC 3389)."""
    mixes: int = 0
    """Conversations that are mixed: of three parties and more, of codecs without a table between them, or one way."""
    jitter_buffer_s: float = 0.0
    """What audio waits in the jitter buffers of mixed legs, on average over those legs, now; 0 without any."""
    jitter_buffer_max_s: float = 0.0
    """The most of them."""
    concealed_frames: int = 0
    """Times that audio of a mixed leg was made up because nothing had come."""


class HeldLeg(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A leg that is open; its ports as `LegOpened` told them."""

    leg: str
    address: str
    rtp_port: int
    rtcp_port: int
    is_described: bool
    """A `DescribeLeg` was obeyed."""
    play: str | None
    """Of the `Play` that plays now."""
    note: bytes = b""
    fingerprint: str = ""

    def __repr__(self) -> str:
        """Without the note: keys are in it."""
        return f"HeldLeg(leg={self.leg!r}, {self.address} port {self.rtp_port}, play={self.play!r}, {len(self.note)} octets)"


class HeldRoom(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A room in which somebody hears somebody."""

    room: str
    hears: tuple[tuple[str, str], ...]
    """As in `ArrangeAudio`, in order of names."""


class HeldRecording(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A recording that runs; one that was told to stop is none any more, its `RecordingEnded` follows."""

    recording: str
    path: str
    legs: tuple[str, ...]
    """In the order of channels; those that are closed as well."""
    silent: tuple[str, ...] = ()
    """Those that are paused."""


class Held(_Message, frozen=True, kw_only=True):
    """Reply to `AskHeld` and `Adopt`. In several parts where it is long: their tuples belong together in the order they came."""

    request: int
    legs: tuple[HeldLeg, ...] = ()
    rooms: tuple[HeldRoom, ...] = ()
    recordings: tuple[HeldRecording, ...] = ()
    ports: tuple[int, int] = (0, 0)
    """First and last, as the worker was started."""
    lost: int = 0
    """Reports that found no room while nobody listened; never the end of a leg or a recording."""
    goes_on: bool = False
    """This is not the last part."""


class TakenOver(_Message, frozen=True, kw_only=True):
    """Reply to `TakeOver`, once all files are whole on disk and all ports free: the worker's last word."""

    request: int
    legs: int
    """Legs that were closed by it, each reported by `LegClosed`."""
    recordings: int
    """Recordings that were closed by it, each reported by `RecordingEnded`."""
    lost: int
    """Reports that found no room while nobody listened; never one of these two kinds."""


Reply = LegOpened | Refused | Status | Held | TakenOver


DigitMeans = Literal["event", "tone"]


class DigitBegan(_Message, frozen=True, kw_only=True):
    """A key went down at the far end of `leg`; its `DigitReceived` follows."""

    leg: str
    digit: str
    means: DigitMeans


class DigitReceived(_Message, frozen=True, kw_only=True):
    """One DTMF digit from the far end of `leg`, when it is over: an RFC 4733 event, or a tone in band where none were agreed on."""

    leg: str
    digit: str
    duration_ms: int
    means: DigitMeans = "event"


class PlayEnded(_Message, frozen=True, kw_only=True):
    """See `Play`."""

    leg: str
    play: str
    outcome: Literal["finished", "stopped", "unknown_sound"]
    left_out: tuple[str, ...] = ()
    """Names that were not there; `unknown_sound`: all of them."""


class RecordingEnded(_Message, frozen=True, kw_only=True):
    """The file is closed and whole."""

    recording: str
    path: str
    duration_ms: int
    error: str | None = None


class LegLatched(_Message, frozen=True, kw_only=True):
    """The first packet came; symmetric RTP now sends to where it came from (RFC 4961)."""

    leg: str
    remote_address: str
    remote_port: int


class LegSilent(_Message, frozen=True, kw_only=True):
    """Neither RTP (comfort noise and keys are RTP) nor RTCP for `silence_timeout_s`, and again after 2, 4, 8, 16, 24, … times that."""

    leg: str
    seconds: float


class LegQuality(_Message, frozen=True, kw_only=True):
    """How `leg` is heard, and hears, of late: every 5 s while it is described and something came or its far end has reported. No leg's
    end, and nothing that a later one does not say again: an orphan keeps none.
    """

    leg: str
    seconds: float
    """What it is measured over."""
    packets_expected: int
    packets_lost: int
    """Of those: what was sent to us and did not come."""
    jitter_ms: float
    mos: float | None
    """Of what came, as in `Quality`; None: nothing was expected, or no figures of the codec are published."""
    round_trip_ms: float | None
    """By the newest report of the far end; None: it has made none that says."""
    remote_loss: float | None = None
    """Share of our packets that the far end did not get, by its newest report; None: it made none meanwhile, as of those that follow."""
    remote_jitter_ms: float | None = None
    remote_discarded: float | None = None
    """Share of our packets that came there too late to be heard (RFC 3611)."""
    remote_mos: float | None = None
    """What the far end says its user hears (RFC 3611, MOS-CQ, else MOS-LQ)."""


class LegUnheard(_Message, frozen=True, kw_only=True):
    """Five seconds after somebody began to listen to the leg no RTP has come from it since, though it is not on hold."""

    leg: str


class BrowserChanged(_Message, frozen=True, kw_only=True):
    """Whether a browser is there, or a phone with a handshake. `connected`: keys are there and audio flows, or it does again; `suspect`:
    nothing came for 8 s, which a browser that lives is never silent; `gone`: for 30 s (RFC 7675), both of those with ICE only; `closed`: it
    said goodbye; `failed`: it is not who it should be, or the handshake came to nothing, and `reason` says why.
    """

    leg: str
    state: Literal["connected", "suspect", "gone", "closed", "failed"]
    reason: str = ""


class LegClosed(_Message, frozen=True, kw_only=True):
    """The ports are free again."""

    leg: str
    quality: Quality


Report = (
    DigitBegan | DigitReceived | PlayEnded | RecordingEnded | LegLatched | LegSilent | LegUnheard | LegQuality | BrowserChanged | LegClosed
)

FromWorker = Greeting | Reply | Report
