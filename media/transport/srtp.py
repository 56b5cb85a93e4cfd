"""SRTP and SRTCP by libsrtp, on the worker's own buffer (RFC 3711; AEAD_AES_128_GCM: RFC 7714; sending both ways under keys of one leg).

The only module that knows pylibsrtp. Its public API copies each packet twice (1.2 us); through its cffi binding, which is private, libsrtp
works where the packet lies (0.5 us). Where the private names are missing the public ones do the same.

The rollover counter (RFC 3711 §3.3.1) is libsrtp's. It begins with 0 with each context, which is a new key here, or a new SSRC. A far end
may hold that a new key leaves it where it was (§3.3.1) or that it begins anew, and there are both; so whoever gets a new key to send
under begins another SSRC with it, for which all agree on 0 (`media.legs.leg`).
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, Final, Protocol

import pylibsrtp

from media.errors import NotAuthentic
from media.transport.keys import LENGTHS, SrtpKeys, Suite

try:
    from pylibsrtp._binding import ffi, lib

    _HAS_BINDING = hasattr(pylibsrtp.Session(), "_srtp") and all(
        hasattr(lib, name) for name in ("srtp_protect", "srtp_protect_rtcp", "srtp_unprotect", "srtp_unprotect_rtcp")
    )
except ImportError:
    _HAS_BINDING = False

REPLAY_WINDOW: Final = 1024
"""Packets; 20 s of 20 ms packets. RFC 3711 §3.3.2: at least 64."""
OLD_KEY_S: Final = 1.0
"""Packets cross the answer that tells of their new key: the old one is taken for so long, or until a packet came under the new."""

_PROFILES: Final = {
    Suite.AEAD_AES_128_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    Suite.AES_CM_128_HMAC_SHA1_80: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}
_SENDS: Final = pylibsrtp.Policy.SSRC_ANY_OUTBOUND
_RECEIVES: Final = pylibsrtp.Policy.SSRC_ANY_INBOUND


class Context(Protocol):
    """One direction under one key, whichever SSRC. Works on a packet at the beginning of a buffer, and returns its octets then."""

    def protect_rtp(self, buffer: bytearray, octets: int) -> int: ...
    def protect_rtcp(self, buffer: bytearray, octets: int) -> int: ...
    def unprotect_rtp(self, buffer: bytearray, octets: int) -> int: ...
    def unprotect_rtcp(self, buffer: bytearray, octets: int) -> int: ...


def _session(suite: Suite, key: bytes, direction: int) -> pylibsrtp.Session:
    policy = pylibsrtp.Policy(key=key, ssrc_type=direction, srtp_profile=_PROFILES[suite])
    policy.window_size = REPLAY_WINDOW
    return pylibsrtp.Session(policy)


def _no_room(octets: int) -> OSError:
    return OSError(errno.EMSGSIZE, f"a packet of {octets} octets has no room for its tag")


def _not_sent(why: object) -> OSError:
    return OSError(errno.EPROTO, f"not protected, so not sent: {why}")


def _why(code: int) -> str:
    return pylibsrtp.ERRORS[code] if code < len(pylibsrtp.ERRORS) else f"libsrtp error {code}"


class InPlace:
    """By the binding. A `Context`."""

    __slots__ = ("_buffer", "_length", "_pointer", "_rtcp_room", "_rtp_room", "_session", "_srtp")

    def __init__(self, suite: Suite, key: bytes, direction: int) -> None:
        self._session = _session(suite, key, direction)
        self._srtp: Any = self._session._srtp[0]  # noqa: SLF001 - see the module; valid as long as the session is
        self._length: Any = ffi.new("int *")
        self._buffer: bytearray | None = None
        self._pointer: Any = None
        self._rtp_room = LENGTHS[suite].rtp_tag
        self._rtcp_room = LENGTHS[suite].rtcp_overhead

    def protect_rtp(self, buffer: bytearray, octets: int) -> int:
        """Raises: OSError: it cannot be protected, and must not leave."""
        if octets + self._rtp_room > len(buffer):  # libsrtp writes behind the packet, and does not know where the buffer ends
            raise _no_room(octets)
        if buffer is not self._buffer:
            self._look_at(buffer)
        length = self._length
        length[0] = octets
        code = lib.srtp_protect(self._srtp, self._pointer, length)
        if code:
            raise _not_sent(_why(code))
        return int(length[0])

    def unprotect_rtp(self, buffer: bytearray, octets: int) -> int:
        """Raises: NotAuthentic; the packet is destroyed then."""
        if buffer is not self._buffer:
            self._look_at(buffer)
        length = self._length
        length[0] = octets
        code = lib.srtp_unprotect(self._srtp, self._pointer, length)
        if code:
            raise NotAuthentic(_why(code))
        return int(length[0])

    def _look_at(self, buffer: bytearray) -> None:
        """The worker has one buffer for all packets, which never changes its size."""
        self._buffer, self._pointer = buffer, ffi.from_buffer(buffer)

    def protect_rtcp(self, buffer: bytearray, octets: int) -> int:
        """Raises: OSError: it cannot be protected, and must not leave."""
        if octets + self._rtcp_room > len(buffer):
            raise _no_room(octets)
        length = self._length
        length[0] = octets
        code = lib.srtp_protect_rtcp(self._srtp, ffi.from_buffer(buffer), length)
        if code:
            raise _not_sent(_why(code))
        return int(length[0])

    def unprotect_rtcp(self, buffer: bytearray, octets: int) -> int:
        """Raises: NotAuthentic; the compound is destroyed then."""
        length = self._length
        length[0] = octets
        code = lib.srtp_unprotect_rtcp(self._srtp, ffi.from_buffer(buffer), length)
        if code:
            raise NotAuthentic(_why(code))
        return int(length[0])


class Copying:
    """By the public API. A `Context`."""

    __slots__ = ("_session",)

    def __init__(self, suite: Suite, key: bytes, direction: int) -> None:
        self._session = _session(suite, key, direction)

    def protect_rtp(self, buffer: bytearray, octets: int) -> int:
        """Raises: OSError: it cannot be protected, and must not leave."""
        return self._protect(self._session.protect, buffer, octets)

    def protect_rtcp(self, buffer: bytearray, octets: int) -> int:
        """Raises: OSError: it cannot be protected, and must not leave."""
        return self._protect(self._session.protect_rtcp, buffer, octets)

    def unprotect_rtp(self, buffer: bytearray, octets: int) -> int:
        """Raises: NotAuthentic"""
        return self._unprotect(self._session.unprotect, buffer, octets)

    def unprotect_rtcp(self, buffer: bytearray, octets: int) -> int:
        """Raises: NotAuthentic"""
        return self._unprotect(self._session.unprotect_rtcp, buffer, octets)

    @staticmethod
    def _protect(protect: Callable[[bytes], bytes], buffer: bytearray, octets: int) -> int:
        try:
            made = protect(bytes(memoryview(buffer)[:octets]))
        except (pylibsrtp.Error, ValueError) as error:
            raise _not_sent(error) from error
        if len(made) > len(buffer):
            raise _no_room(octets)
        buffer[: len(made)] = made
        return len(made)

    @staticmethod
    def _unprotect(unprotect: Callable[[bytes], bytes], buffer: bytearray, octets: int) -> int:
        try:
            made = unprotect(bytes(memoryview(buffer)[:octets]))
        except (pylibsrtp.Error, ValueError) as error:
            raise NotAuthentic(str(error)) from error
        buffer[: len(made)] = made
        return len(made)


class SrtpProtection:
    """Both directions of one leg: implements `media.transport.base.Protection`.

    Args:
        clock: monotonic seconds; asked only while an old key is still taken.
        context: `InPlace` or `Copying`.
    """

    __slots__ = (
        "_clock",
        "_context",
        "_keys",
        "_old",
        "_old_until",
        "_receiver",
        "protect_rtcp",
        "protect_rtp",
        "unprotect_rtcp",
        "unprotect_rtp",
    )

    def __init__(
        self,
        keys: SrtpKeys,
        clock: Callable[[], float],
        context: Callable[[Suite, bytes, int], Context] = InPlace if _HAS_BINDING else Copying,
    ) -> None:
        self._clock = clock
        self._context = context
        self._keys = keys
        self._old: Context | None = None
        self._old_until = 0.0
        self._receiver = context(keys.suite, keys.receive, _RECEIVES)
        self.unprotect_rtp: Callable[[bytearray, int], int] = self._receiver.unprotect_rtp
        self.unprotect_rtcp: Callable[[bytearray, int], int] = self._receiver.unprotect_rtcp
        self._send_under(keys)

    def _send_under(self, keys: SrtpKeys) -> None:
        sender = self._context(keys.suite, keys.send, _SENDS)
        self.protect_rtp: Callable[[bytearray, int], int] = sender.protect_rtp
        self.protect_rtcp: Callable[[bytearray, int], int] = sender.protect_rtcp

    def renew(self, keys: SrtpKeys) -> bool:
        """Go on under these keys; a direction whose key stays the same goes on with its replay window and rollover counter.

        Returns: whether what we send is under a key that is new.
        """
        before, self._keys = self._keys, keys
        sends_anew = (before.suite, before.send) != (keys.suite, keys.send)
        if sends_anew:
            self._send_under(keys)
        if (before.suite, before.receive) != (keys.suite, keys.receive):
            self._old, self._old_until = self._receiver, self._clock() + OLD_KEY_S
            self._receiver = self._context(keys.suite, keys.receive, _RECEIVES)
            self.unprotect_rtp, self.unprotect_rtcp = self._unprotect_rtp_of_either, self._unprotect_rtcp_of_either
        return sends_anew

    def _unprotect_rtp_of_either(self, buffer: bytearray, octets: int) -> int:
        old = self._old
        return self._of_either(self._receiver.unprotect_rtp, old.unprotect_rtp if old is not None else None, buffer, octets)

    def _unprotect_rtcp_of_either(self, buffer: bytearray, octets: int) -> int:
        old = self._old
        return self._of_either(self._receiver.unprotect_rtcp, old.unprotect_rtcp if old is not None else None, buffer, octets)

    def _of_either(
        self,
        new: Callable[[bytearray, int], int],
        old: Callable[[bytearray, int], int] | None,
        buffer: bytearray,
        octets: int,
    ) -> int:
        """Raises: NotAuthentic"""
        came = bytes(memoryview(buffer)[:octets])  # who does not succeed leaves nothing of it
        try:
            plain = new(buffer, octets)
        except NotAuthentic:
            if old is None or self._clock() >= self._old_until:
                self._forget_old()
                raise
            buffer[:octets] = came
            return old(buffer, octets)
        self._forget_old()
        return plain

    def _forget_old(self) -> None:
        self._old = None
        self.unprotect_rtp, self.unprotect_rtcp = self._receiver.unprotect_rtp, self._receiver.unprotect_rtcp
