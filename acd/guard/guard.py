"""The guard as the doors use it (shell): attempts are admitted, judged, logged and counted; bans are kept by whoever is told of them.

SIP asks through `SipGuard`, which has the shape of `sip.guard.Guard`; the API asks the guard itself. All times that come in are
monotonic seconds; what is kept and told outside is turned into epoch seconds here.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec

from acd.guard.accounts import NAME_LENGTH, Accounts, Taken
from acd.guard.bans import Ban, Bans
from acd.guard.line import line, quoted
from acd.guard.offenders import Offence, Offenders
from acd.guard.policy import GuardPolicy
from acd.guard.source import is_within, networks, source_of

LOG = logging.getLogger("fernamt.security")
Outcome = Literal["failed", "throttled", "succeeded"]

RECENT = 1000
"""Attempts that the API shows: an operator who looks after an alarm sees the last minutes, the rest is in the log."""
LINES_PER_S = 200
"""Beyond, attempts are added up to one line a source and second (`attempts=N`): a flood must not fill the disk. A burst fits."""
LINES_AT_ONCE = 2000
MAX_SUMMED = 1000
"""Sources with a sum of their own at a time; attempts of more are told as `source=-`."""
WRONG_TOKENS = 64
"""Tokens remembered by source, so that a page that goes on asking with one that has expired is one attempt."""
MAX_TOKEN_SOURCES = 10_000


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, as the API shows it."""

    serial: int
    at: float
    """Epoch seconds."""
    outcome: str
    protocol: str
    address: str
    user: str | None
    tenant: str | None


class KnownRow(msgspec.Struct, frozen=True, kw_only=True):
    """That a user got in from a source; `seen_at` in epoch seconds."""

    user: str
    source: str
    seen_at: float


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written down since the last time; times in epoch seconds."""

    bans: tuple[Ban, ...] = ()
    lifted: tuple[str, ...] = ()
    known: tuple[KnownRow, ...] = ()


class Attempt:
    """One guess: it waits, or it is judged and then `succeeded` or `failed`."""

    __slots__ = ("_guard", "_host", "_protocol", "_taken", "_tenant", "_user", "wait_s")

    def __init__(self, guard: Guard, protocol: str, user: str, host: str, tenant: str | None, taken: Taken, wait_s: int | None) -> None:
        self._guard = guard
        self._protocol, self._user, self._host, self._tenant = protocol, user, host, tenant
        self._taken = taken
        self.wait_s = wait_s
        """Seconds, when it must not be judged."""

    def failed(self, now: float) -> None:
        """The credentials were wrong. One that is never told of counts as that too, without a line."""
        self._guard.note("failed", self._protocol, self._user, self._host, self._tenant, now)

    def abandoned(self, now: float) -> None:
        """Nobody could tell whether they were right: a database is away."""
        self._guard.accounts.give_back(self._taken, now)

    def succeeded(self, now: float) -> None:
        """The credentials were right."""
        self._guard.let_in(self._protocol, self._user, self._host, self._tenant, self._taken, now)


class PinAttempt:
    """One PIN, keyed at a phone that has proved itself: nobody is banned for it, and no source becomes known by it."""

    __slots__ = ("_agent", "_guard", "_taken", "_tenant", "wait_s")

    def __init__(self, guard: Guard, agent: str, tenant: str, taken: Taken, wait_s: int | None) -> None:
        self._guard, self._agent, self._tenant, self._taken = guard, agent, tenant, taken
        self.wait_s = wait_s
        """Seconds, when it must not be judged."""

    def failed(self, now: float) -> None:
        """It was wrong, or the agent has none."""
        self._guard.note_pin("failed", self._agent, self._tenant, now)

    def abandoned(self, now: float) -> None:
        """Nobody could tell."""
        self._guard.accounts.give_back(self._taken, now)

    def succeeded(self, now: float) -> None:
        """It was right."""
        self._guard.accounts.give_back(self._taken, now)
        self._guard.counters["pin", "succeeded"] += 1


class Guard:
    """One of a process."""

    def __init__(
        self, policy: GuardPolicy | None = None, *, now: Callable[[], float] = time.monotonic, epoch: Callable[[], float] = time.time
    ) -> None:
        """Raises: ValueError: a network of the allow list is none."""
        self.policy = policy or GuardPolicy()
        self.now = now
        self.epoch = epoch
        self._allow = networks(self.policy.allow)
        self.accounts = Accounts(self.policy)
        self._bans = Bans(self.policy)
        self._offenders = Offenders(self.policy)
        self.on_change: Callable[[], None] = lambda: None
        """Called when there is something to write down."""
        self.recent: deque[Seen] = deque(maxlen=RECENT)
        self.counters: Counter[tuple[str, str]] = Counter()
        """(protocol, outcome) -> attempts."""
        self.bans_made = 0
        self._serial = 0
        self._wrong_tokens: dict[str, deque[str]] = {}
        self._changed_bans: set[str] = set()
        self._changed_known: set[tuple[str, str]] = set()
        self._lines = float(LINES_AT_ONCE)
        self._lines_at = 0.0
        self._summed: Counter[tuple[str, str, str]] = Counter()
        self._summed_since = 0.0

    # ---------------------------------------------------------------- attempts

    def attempt(self, protocol: str, user: str, host: str, now: float, *, tenant: str | None = None, is_urgent: bool = False) -> Attempt:
        """Somebody wants to prove to be `user`: a token is taken, or the attempt has a `wait_s` and nothing may be computed."""
        user = user[:NAME_LENGTH]
        who = f"{protocol} {user}"
        taken = self.accounts.buckets(who, source_of(host), now, is_urgent=is_urgent)
        wait_s = self.accounts.wait_s(taken, now)
        if not is_urgent:
            wait_s = max(wait_s, self._banned_s(who, source_of(host), now))
        if wait_s > 0:
            self.note("throttled", protocol, user, host, tenant, now)
            return Attempt(self, protocol, user, host, tenant, taken, math.ceil(wait_s))
        self.accounts.take(taken, now)
        return Attempt(self, protocol, user, host, tenant, taken, None)

    def pin_attempt(self, tenant: str, agent: str, at: str, now: float) -> PinAttempt:
        """Somebody at the phone of `at` wants to prove to be `agent`."""
        taken = self.accounts.pin_buckets(f"{agent}@{tenant}", f"{at}@{tenant}")
        wait_s = self.accounts.wait_s(taken, now)
        if wait_s > 0:
            self.note_pin("throttled", agent, tenant, now)
            return PinAttempt(self, agent, tenant, taken, math.ceil(wait_s))
        self.accounts.take(taken, now)
        return PinAttempt(self, agent, tenant, taken, None)

    def note_pin(self, outcome: Outcome, agent: str, tenant: str, now: float) -> None:
        """A PIN did not open anything: count it and tell it. It has no address: programs that read this log must shut no phone out."""
        self.counters["pin", outcome] += 1
        self._tell(outcome, "pin", agent, "-", tenant, now)

    def is_known(self, protocol: str, user: str, host: str) -> bool:
        """Whether the user has got in from there lately."""
        return self.accounts.known.is_known(f"{protocol} {user[:NAME_LENGTH]}", source_of(host), self.now())

    def let_in(self, protocol: str, user: str, host: str, tenant: str | None, taken: Taken, now: float) -> None:
        """An attempt succeeded: its token comes back, and its source is known from now on."""
        had_failed = self.accounts.give_back(taken, now)
        self.counters[protocol, "succeeded"] += 1
        who, source = f"{protocol} {user}", source_of(host)
        if self.accounts.known.learn(who, source, now):
            self._changed_known.add((who, source))
            self.on_change()
        if had_failed:
            self._tell("succeeded", protocol, user, host, tenant, now)

    def wrong_token(self, token_hash: str, host: str, now: float) -> None:
        """A bearer token or key that is nobody's: counted by source. A right one never waits: 256 bits are not found by trying."""
        source = source_of(host)
        seen = self._wrong_tokens.pop(source, None) or deque(maxlen=WRONG_TOKENS)
        self._wrong_tokens[source] = seen
        if len(self._wrong_tokens) > MAX_TOKEN_SOURCES:
            del self._wrong_tokens[next(iter(self._wrong_tokens))]
        if token_hash not in seen:
            seen.append(token_hash)
            self.note("failed", "token", None, host, None, now)

    def note(self, outcome: Outcome, protocol: str, user: str | None, host: str, tenant: str | None, now: float) -> None:
        """An attempt did not succeed: count it, tell it, and see whether its source has done enough to be banned."""
        self.counters[protocol, outcome] += 1
        self._tell(outcome, protocol, user, host, tenant, now)
        source, who = source_of(host), None if user is None else f"{protocol} {user[:NAME_LENGTH]}"
        if who is not None and self.accounts.known.is_known(who, source, now):
            return  # what is wrong there is held by the buckets of who is known there
        offence = self._offenders.note(source, who, now)
        if offence is None or not self.policy.ban_s or self._bans.holds(source, now) is not None:
            return
        self._offenders.forget(source)
        if self._is_spared(host, source, offence, now):
            LOG.warning(line("spared", source, why=quoted(offence.why)))
        else:
            self._ban(source, offence.why, now)

    def _tell(self, outcome: Outcome, protocol: str, user: str | None, host: str, tenant: str | None, now: float) -> None:
        if user is not None and tenant is not None:  # a device is counted as `name@tenant`; the tenant stands beside it already
            user = user.removesuffix(f"@{tenant}")
        self._serial += 1
        seen = Seen(serial=self._serial, at=self.epoch(), outcome=outcome, protocol=protocol, address=host, user=user, tenant=tenant)
        self.recent.append(seen)
        self._lines = min(float(LINES_AT_ONCE), self._lines + max(0.0, now - self._lines_at) * LINES_PER_S)
        self._lines_at = now
        if self._summed and now - self._summed_since >= 1.0:
            self.tell_sums()
        if self._lines < 1.0:
            self._summed_since = self._summed_since if self._summed else now
            is_room = len(self._summed) < MAX_SUMMED or (outcome, host, protocol) in self._summed
            self._summed[outcome, host if is_room else "-", protocol if is_room else "-"] += 1
            return
        self._lines -= 1.0
        LOG.warning(line(outcome, host, protocol=protocol, tenant=tenant, user=None if user is None else quoted(user)))

    def tell_sums(self) -> None:
        """Write what was added up, if anything was; called once a second, and at the end."""
        for (outcome, host, protocol), attempts in self._summed.items():
            LOG.warning(line(outcome, host, protocol=protocol, attempts=attempts))
        self._summed.clear()

    # ---------------------------------------------------------------- bans

    def ban_of(self, host: str, now: float) -> Ban | None:
        """The ban that keeps a host from being heard at all, whatever tenants say of it; what is heard all the same is the door's to know.

        Where somebody of ours is at home a ban shuts no door: it is for the users who are not known there, and `attempt` says it to them.
        """
        if not len(self._bans):
            return None
        source = source_of(host)
        return None if self.accounts.known.is_home(source, now) else self._bans.holds(source, now)

    def _banned_s(self, who: str, source: str, now: float) -> float:
        """How long a ban keeps this user from being judged there; one who is known there is known in spite of it."""
        ban = self._bans.holds(source, now) if len(self._bans) else None
        return 0.0 if ban is None or self.accounts.known.is_known(who, source, now) else ban.until - now

    def spares_known(self, source: str) -> bool:
        """Whether a ban of the source is for those only who are not known there."""
        return self.accounts.known.is_home(source, self.now())

    def _is_spared(self, host: str, source: str, offence: Offence, now: float) -> bool:
        """Those that are never banned without a person's thought: the allow list, and a home where one goes on and on with few names.

        Two hundred desks behind one address lose nothing by the one that mistypes, nor does a new one there by a mad phone beside it.
        """
        if not host:  # a local socket has no address: everybody would be meant
            return True
        return is_within(source, self._allow) or (not offence.is_of_names and self.accounts.known.is_home(source, now))

    def _ban(self, source: str, why: str, now: float) -> None:
        ban = self._bans.ban(source, why, now)
        self.bans_made += 1
        LOG.warning(line("banned", source, seconds=round(ban.until - now), count=ban.count, why=quoted(why)))
        self._changed_bans.add(source)
        self.on_change()

    def bans(self) -> list[Ban]:
        """Those that hold, by source; times in epoch seconds."""
        now = self.now()
        return [self._dated(ban, now) for ban in self._bans.holding(now)]

    def lift(self, host: str, by: str) -> bool:
        """Let a source in again, and forget what it did. Returns: whether it was banned."""
        source, now = source_of(host.removesuffix("/64")), self.now()
        held = self._bans.holds(source, now)
        if held is None:
            return False
        self._bans.lift(source)
        self._offenders.forget(source)
        LOG.warning(line("unbanned", source, by=quoted(by)))
        self._changed_bans.add(source)
        self.on_change()
        return True

    # ---------------------------------------------------------------- over a restart

    def restore(self, bans: Iterable[Ban], known: Iterable[KnownRow]) -> None:
        """Take up what was written down; times in epoch seconds."""
        ahead = self.now() - self.epoch()
        for ban in bans:
            self._bans.restore(msgspec.structs.replace(ban, since=ban.since + ahead, until=ban.until + ahead))
        for row in sorted(known, key=lambda one: one.seen_at):
            self.accounts.known.restore(row.user, row.source, row.seen_at + ahead)

    def changes(self) -> Changes:
        """What is to be written down; it is told once. What could not be written is given back by `unwritten`."""
        now = self.now()
        past = self.epoch() - now
        bans = {ban.source: self._dated(ban, now) for ban in self._bans.holding(now) if ban.source in self._changed_bans}
        lifted = tuple(sorted(self._changed_bans - bans.keys()))
        known = tuple(KnownRow(user=user, source=source, seen_at=now + past) for user, source in sorted(self._changed_known))
        self._changed_bans.clear()
        self._changed_known.clear()
        return Changes(bans=tuple(bans.values()), lifted=lifted, known=known)

    def unwritten(self, changes: Changes) -> None:
        """The database was away: tell it again the next time."""
        self._changed_bans.update(ban.source for ban in changes.bans)
        self._changed_bans.update(changes.lifted)
        self._changed_known.update((row.user, row.source) for row in changes.known)

    def _dated(self, ban: Ban, now: float) -> Ban:
        past = self.epoch() - now
        return msgspec.structs.replace(ban, since=ban.since + past, until=ban.until + past)

    def figures(self) -> Mapping[str, float]:
        """For /metrics."""
        figures: dict[str, float] = {
            f'fernamt_security_attempts_total{{protocol="{protocol}",outcome="{outcome}"}}': count
            for (protocol, outcome), count in self.counters.items()
        }
        figures["fernamt_security_bans"] = sum(1 for _ in self._bans.holding(self.now()))
        figures["fernamt_security_bans_total"] = self.bans_made
        figures |= {f'fernamt_security_kept{{what="{kind}"}}': count for kind, count in self.accounts.sizes().items()}
        return figures


class SipGuard:
    """The guard at the SIP door; the shape of `sip.guard.Guard`."""

    def __init__(self, guard: Guard, tenant_of: Callable[[str], str | None], is_trunk: Callable[[str], bool] = lambda _host: False) -> None:
        """Args:
        tenant_of: whose device a user name is; for the log only.
        is_trunk: whether a host is a trunk's; asked for requests of a banned source only.
        """
        self._guard = guard
        self._tenant_of = tenant_of
        self._is_trunk = is_trunk

    def is_banned(self, host: str, now: float, *, is_challenged: bool) -> bool:
        """Whether this request is not heard.

        A tenant's administrator writes down what a trunk's source is. So that opens what a trunk needs, and no door where passwords are
        guessed.
        """
        if self._guard.ban_of(host, now) is None:
            return False
        return is_challenged or not self._is_trunk(host)

    def attempt(self, username: str, host: str, now: float, *, is_urgent: bool) -> Attempt:
        """Somebody wants to prove to be a device."""
        return self._guard.attempt("sip", username, host, now, tenant=self._tenant_of(username), is_urgent=is_urgent)
