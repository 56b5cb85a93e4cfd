"""SRTP by pylibsrtp's public API, octets in and octets out (RFC 3711, RFC 7714)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pylibsrtp
from pylibsrtp import Policy

from media.errors import NotAuthentic
from media.transport.keys import SrtpKeys, Suite

WINDOW: Final = 1024
"""Packets that may overtake one another (RFC 3711 §3.3.2): 20 s of one leg."""
_PROFILES: Final = {
    Suite.AEAD_AES_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    Suite.AES_CM_128_HMAC_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}


class PublicSrtp:
    """Implements `media.transport.base.Protection`."""

    __slots__ = ("_receive", "_send")

    def __init__(self, keys: SrtpKeys) -> None:
        self._send = _session(keys.suite, keys.send, Policy.SSRC_ANY_OUTBOUND)
        self._receive = _session(keys.suite, keys.receive, Policy.SSRC_ANY_INBOUND)

    def protect_rtp(self, packet: bytes) -> bytes:
        return self._send.protect(packet)

    def protect_rtcp(self, compound: bytes) -> bytes:
        return self._send.protect_rtcp(compound)

    def unprotect_rtp(self, packet: bytes) -> bytes:
        return _opened(self._receive.unprotect, packet)

    def unprotect_rtcp(self, compound: bytes) -> bytes:
        return _opened(self._receive.unprotect_rtcp, compound)


def _session(suite: Suite, key: bytes, direction: int) -> pylibsrtp.Session:
    policy = Policy(key, direction, srtp_profile=_PROFILES[suite])
    policy.window_size = WINDOW
    return pylibsrtp.Session(policy)


def _opened(unprotect: Callable[[bytes], bytes], packet: bytes) -> bytes:
    try:
        return unprotect(packet)
    except (pylibsrtp.Error, ValueError) as error:  # the second: longer than its buffer
        raise NotAuthentic(str(error)) from error
