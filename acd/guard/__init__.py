"""The guard at every door where a password is asked for: who may guess how often, and who is not heard at all.

    source       P  what counts as one place: an IPv4 address, an IPv6 /64
    policy       P  every bound, with its origin
    allowance    P  many token buckets of one size in bounded memory
    known        P  the sources from which a user has got in lately
    offenders    P  what a source has done within the hour, and whether that is enough for a ban
    bans         P  sources that are not heard, for a growing time
    accounts     P  the four together: an attempt is admitted or must wait
    line         P  one line of the security log
    guard        S  clock, log, counters, what is told and kept

docs/security.md says what each person meets: the owner at home, the owner elsewhere, the stranger.
"""

from acd.guard.bans import Ban
from acd.guard.guard import Attempt, Guard, KnownRow, Seen, SipGuard
from acd.guard.policy import GuardPolicy
from acd.guard.source import source_of

__all__ = ["Attempt", "Ban", "Guard", "GuardPolicy", "KnownRow", "Seen", "SipGuard", "source_of"]
