"""Every bound of the guard with its origin (house; the arithmetic stands in docs/security.md)."""

from __future__ import annotations

import msgspec


class GuardPolicy(msgspec.Struct, frozen=True, kw_only=True):
    failures: int = 10
    """Guesses of one user from one source at once; as many are given back over `window_s`. Ten is what a person needs who tries all
    the own passwords (NIST SP 800-63B §5.2.2 allows up to a hundred)."""
    window_s: float = 300.0
    known_factor: int = 2
    """A source where the user has got in lately has a bucket of its own, so much larger: a second phone behind the same router that
    asks every 30 s with an old password does not empty it (20 guesses, one every 15 s), nor one that answers 16 challenges in a row before
    it gives up (libre before 2024, github.com/baresip/re pull 1143)."""
    home_factor: int = 10
    """What the users known at one source may have wrong there together, so much larger than `failures`: ten phones with old passwords that
    ask every 30 s, 28,800 guesses a day. It is no share of theirs: who has had no wrong one for `fresh_s` needs nothing of it."""
    fresh_s: float = 600.0
    """A known user has one attempt of the own in this time beside what all there have together: who is among two hundred desks with the
    right password never meets the wrong ones of the others, and who guesses at all their names has 144 a day more for each."""
    shared_factor: int = 3
    """All other sources together have one bucket of the user beside their own, so much larger: one or two strangers cannot empty it."""
    source_factor: int = 10
    """One source over all users it is not known for: what the service allowed an address before there was this guard."""
    urgent: int = 3
    """Emergency calls of one user from one source are judged from a small bucket of their own, so that guesses cannot take it from who
    calls for help; as many are given back over `urgent_window_s`. A phone asks once, a person who panics a few times."""
    urgent_window_s: float = 180.0
    urgent_shared_factor: int = 10
    """All sources where the user is not known together have one such bucket, so much larger: it takes ten strangers at once to make the
    owner at a new address wait, and then for six seconds. That many guesses more, 14,400 a day, is the price."""
    urgent_per_source: int = 10
    """Emergency calls of one source at once over all users it is not known for: emergency calls pass bans, so this alone stops who tries
    a list of names. Ten phones with wrong passwords at one new address; right ones take nothing."""
    urgent_source_interval_s: float = 30.0
    """One of these is given back so often: 2,880 guesses a day, a tenth of what an address has for its other attempts."""
    pins: int = 5
    """Wrong PINs of one agent, and on one phone, at once: a person who mistypes, or thinks of another card's. As many are given back over
    `pin_window_s`, so 120 guesses a day find one of 10,000 PINs in six weeks on average; each stands in the log and in the figures."""
    pin_window_s: float = 3600.0
    known_s: float = 30 * 86_400.0
    """How long a source is known after the last success: a holiday of four weeks. At most; then the owner is as at a new address."""
    known_per_user: int = 16
    """A person has a desk, a home, a mobile, and their changing addresses; the one longest unused goes first."""
    max_known: int = 100_000
    """Pairs of user and source kept in all (about 30 MB); only who has proved a password makes one."""
    max_buckets: int = 50_000
    """Buckets of each kind in use at once (about 15 MB each kind). Beyond, whoever has none yet shares a last one: a flood of names
    makes strangers wait, and no bucket in use is ever dropped for a newer one."""
    ban_window_s: float = 3600.0
    ban_users: int = 10
    """Different user names, of users not known there, tried from one source within the hour: nobody has forgotten so many."""
    ban_attempts: int = 1000
    """Attempts from one source within the hour, throttled ones included, whatever the names: a phone with an old password makes 120."""
    ban_s: float = 600.0
    """The first ban; each further one is twice as long. 0: there are none."""
    ban_max_s: float = 86_400.0
    ban_memory_s: float = 7 * 86_400.0
    """After so long without another ban the next one is a first one again."""
    max_bans: int = 10_000
    """Each needs a real address that answered; beyond, the one that ends first ends early."""
    allow: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks that are never banned. They are throttled like others."""
