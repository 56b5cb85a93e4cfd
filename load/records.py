"""What one synthetic call leaves behind, and the lines a load process speaks: house protocol, one JSON object a line.

Times are monotonic seconds of the machine, the same clock in all its processes. A caller and the agent it reached know
nothing of each other; `key`, the last digits of the caller's number, is the same on both sides and joins them.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from load.profiles import Scenario

EndedBy = Literal["here", "far_end", "timeout", "transport"]


class _Record(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Base of all lines: frozen, tagged by class name."""


class CallerRecord(_Record, frozen=True, kw_only=True):
    """One call as its caller saw it."""

    key: str
    invited_at: float
    answered_at: float | None = None
    """200 OK: the service took the call (a queue answers at once)."""
    ended_at: float | None = None
    """None: the run ended first."""
    status: int | None = None
    """SIP status of the failure; None when it did not fail."""
    gave_up: bool = False
    """It hung up because its patience ended."""
    cut_by_run: bool = False
    """The run ended and hung it up."""
    stuck: bool = False
    """It should have been over seconds before, or its goodbye was never answered: a call the service lost hold of."""
    ended_by: EndedBy = "far_end"


class AgentRecord(_Record, frozen=True, kw_only=True):
    """One offer as its agent saw it."""

    key: str
    """Empty: no number was shown."""
    agent: str
    invited_at: float
    answered_at: float | None = None
    """When the agent's 200 was sent; None: cancelled, missed or declined."""
    ended_at: float | None = None
    ended_by: EndedBy = "far_end"
    status: int | None = None
    cut_by_run: bool = False


class RtpFigures(_Record, frozen=True, kw_only=True):
    """Packets of all streams of one or more processes."""

    streams: int = 0
    sent: int = 0
    received: int = 0
    lost: int = 0
    """Gaps in the sequence numbers of received streams (RFC 3550 A.3), duplicates not set off against them."""
    duplicate: int = 0
    late: int = 0
    """Packets that came after one sent later."""
    marked_received: int = 0
    """Packets that carried another party's stamp, that is, came through from end to end."""
    marked_lost: int = 0
    """Gaps in the stamps: lost between two parties, wherever."""
    crossed: int = 0
    """Packets with the stamp of a party that this call does not have."""
    silent_streams: int = 0
    """Streams of answered calls that sent and heard nothing: one-way audio."""
    own_drops: int = 0
    """Packets the generator's own sockets dropped: its fault, not the service's; counted in `lost` too."""
    own_send_errors: int = 0
    late_ticks: int = 0
    """20 ms ticks of the generator that began more than 5 ms late."""
    latency_ms: tuple[int, ...] = ()
    """Histogram of mouth-to-ear times through the service: `latency_ms[i]` packets took `i` to `i + 1` ms; the last bin holds the rest."""


class Snapshot(_Record, frozen=True, kw_only=True):
    """Once a second, from each process."""

    at: float
    process: int
    calls_begun: int
    calls_up: int
    """Invited and not ended."""
    calls_connected: int
    """Talking to an agent."""
    failed: int
    agents_busy: int
    agents_registered: int
    setup_p50_ms: float | None = None
    """INVITE to 200, of calls answered since the last snapshot."""
    rtp_sent: int = 0
    rtp_received: int = 0
    cpu_s: float = 0.0
    """CPU of this process and its media process so far."""


class Ready(_Record, frozen=True, kw_only=True):
    """All devices of this process are registered (or could not be)."""

    process: int
    registered: int
    refused: dict[str, str] = {}


class AgentConnected(_Record, frozen=True, kw_only=True):
    """An agent answered the caller with `key`: told to the process that plays the caller."""

    key: str
    at: float


class PleaseHangUp(_Record, frozen=True, kw_only=True):
    """Told to the process that plays the agent: the talk with `key` is over and it is the agent who ends it."""

    key: str


class Finished(_Record, frozen=True, kw_only=True):
    """The last line of a process."""

    process: int
    rtp: RtpFigures
    cpu_s: float
    dropped_messages: int = 0


class AgentAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An agent the run plays: who it is at the API and what its device registers with."""

    agent: str
    aor: str
    """`sip:user@host`."""
    username: str
    password: str
    token: str | None = None

    def __repr__(self) -> str:
        """Without password and token."""
        return f"AgentAccount(agent={self.agent!r}, aor={self.aor!r})"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The first line a process reads: its part of the run."""

    process: int
    processes: int
    seed: int
    scenario: Scenario
    server: tuple[str, int]
    local_address: str
    dial: tuple[str, ...]
    """Numbers, in turn."""
    agents: tuple[AgentAccount, ...] = ()
    with_rtp: bool = False
    rtp_sample: float = 1.0
    with_voices: bool = False
    """Everybody speaks words (`load.voice`), and nothing is counted."""
    codec: str = "PCMA"
    drain_s: float = 10.0
    """After the last arrival, calls may end by themselves for so long."""
    api: str | None = None
    """Where agents that come and go say so."""
    away_reason: str = "break"


class Begin(_Record, frozen=True, kw_only=True):
    """The clock starts at monotonic time `at`."""

    at: float


class Quiet(_Record, frozen=True, kw_only=True):
    """The callers of this process are all gone; its agents stay for those of the others."""

    process: int


class AllQuiet(_Record, frozen=True, kw_only=True):
    """Nobody's callers are left: the agents may go."""


class EndNow(_Record, frozen=True, kw_only=True):
    """No more calls; those that are up are hung up, and the figures told."""


ToParent = CallerRecord | AgentRecord | Snapshot | Ready | AgentConnected | PleaseHangUp | Quiet | Finished
ToChild = Begin | AgentConnected | PleaseHangUp | AllQuiet | EndNow
