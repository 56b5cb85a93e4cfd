"""SRTP and SRTCP by libsrtp, on the worker's own buffer (RFC 3711; AEAD_AES_128_GCM: RFC 7714; sending both ways under keys of one leg).

The only module that knows pylibsrtp. Its public API copies each packet twice (1.2 us); through its cffi binding, which is private, libsrtp
works where the packet lies (0.5 us). Where the private names are missing the public ones do the same.

The rollover counter (RFC 3711 §3.3.1) is libsrtp's. It begins with 0 with each context, which is a new key here, or a new SSRC. A far end
may hold that a new key leaves it where it was (§3.3.1) or that it begins anew, and there are both; so whoever gets a new key to send
under begins another SSRC with it, for which all agree on 0 (`media.legs.leg`), and the counter of a stream that we did not see begin is
looked for.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol

import pylibsrtp

from media.errors import NotAuthentic
from media.rtp.packet import HEADER, HEADER_OCTETS
from media.transport.keys import LENGTHS, SrtpKeys, Suite

try:
    from pylibsrtp._binding import ffi, lib

    _HAS_BINDING = hasattr(pylibsrtp.Session(), "_srtp") and all(
        hasattr(lib, name) for name in ("srtp_protect", "srtp_protect_rtcp", "srtp_unprotect", "srtp_unprotect_rtcp")
    )
    _protect, _unprotect = lib.srtp_protect, lib.srtp_unprotect
except (ImportError, AttributeError):
    _HAS_BINDING = False

REPLAY_WINDOW: Final = 1024
"""Packets; 20 s of 20 ms packets. RFC 3711 §3.3.2: at least 64."""
OLD_KEY_S: Final = 1.0
"""Packets cross the answer that tells of their new key: the old one is taken for so long, or until a packet came under the new."""

MOST_WRAPS: Final = 16
"""Of the numbers of a stream that is met in its middle: 5.8 h of 20 ms packets."""
SEARCHES: Final = 8
"""Packets under a key that are looked for further on, 0.6 ms each; a stream that is there is found by its first."""
_STRIDE: Final = 0x7000
"""RFC 3711 §3.3.1: below half the numbers, so that a receiver follows."""

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


class _Place:
    """A buffer as libsrtp sees it. All legs of a worker have one buffer, so this is one object, that stays in the processor's cache."""

    __slots__ = ("buffer", "length", "pointer")

    def __init__(self, buffer: bytearray) -> None:
        self.buffer = buffer
        self.pointer: Any = ffi.from_buffer(buffer)
        """Holds the buffer, which cannot change its size while it does."""
        self.length: Any = ffi.new("int *")


class InPlace:
    """By the binding. A `Context`."""

    __slots__ = ("_buffer", "_length", "_pointer", "_rtcp_room", "_rtp_room", "_session", "_srtp")

    _newest: ClassVar[_Place | None] = None
    """Of the last buffer that was another one."""

    def __init__(self, suite: Suite, key: bytes, direction: int) -> None:
        self._session = _session(suite, key, direction)
        self._srtp: Any = self._session._srtp[0]  # noqa: SLF001 - see the module; valid as long as the session is
        self._buffer: bytearray | None = None
        self._pointer: Any = None
        self._length: Any = None
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
        code = _protect(self._srtp, self._pointer, length)
        if code:
            raise _not_sent(_why(code))
        return length[0]  # type: ignore[no-any-return]

    def unprotect_rtp(self, buffer: bytearray, octets: int) -> int:
        """Raises: NotAuthentic; the packet is destroyed then."""
        if buffer is not self._buffer:
            self._look_at(buffer)
        length = self._length
        length[0] = octets
        code = _unprotect(self._srtp, self._pointer, length)
        if code:
            raise NotAuthentic(_why(code))
        return length[0]  # type: ignore[no-any-return]

    def _look_at(self, buffer: bytearray) -> None:
        """The worker has one buffer for all packets, which never changes its size."""
        place = InPlace._newest
        if place is None or place.buffer is not buffer:
            place = InPlace._newest = _Place(buffer)
        self._buffer, self._pointer, self._length = buffer, place.pointer, place.length

    def protect_rtcp(self, buffer: bytearray, octets: int) -> int:
        """Raises: OSError: it cannot be protected, and must not leave."""
        if octets + self._rtcp_room > len(buffer):
            raise _no_room(octets)
        length = ffi.new("int *", octets)
        code = lib.srtp_protect_rtcp(self._srtp, ffi.from_buffer(buffer), length)
        if code:
            raise _not_sent(_why(code))
        return int(length[0])

    def unprotect_rtcp(self, buffer: bytearray, octets: int) -> int:
        """Raises: NotAuthentic; the compound is destroyed then."""
        length = ffi.new("int *", octets)
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
        "_searches",
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
        self._send_under(keys)
        self._receive_under(keys)

    def _send_under(self, keys: SrtpKeys) -> None:
        sender = self._context(keys.suite, keys.send, _SENDS)
        self.protect_rtp: Callable[[bytearray, int], int] = sender.protect_rtp
        self.protect_rtcp: Callable[[bytearray, int], int] = sender.protect_rtcp

    def _receive_under(self, keys: SrtpKeys) -> None:
        self._receiver = self._context(keys.suite, keys.receive, _RECEIVES)
        self._searches = SEARCHES
        self.unprotect_rtp: Callable[[bytearray, int], int] = self._unprotect_first
        self.unprotect_rtcp: Callable[[bytearray, int], int] = self._unprotect_first_report

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
            self._receive_under(keys)
        return sends_anew

    def _unprotect_first(self, buffer: bytearray, octets: int) -> int:
        """Until a packet has come under the key: it may be an old one's, or further on than a stream begins. Raises: NotAuthentic"""
        came = bytes(memoryview(buffer)[:octets])  # who does not succeed leaves nothing of it
        try:
            plain = self._receiver.unprotect_rtp(buffer, octets)
        except NotAuthentic:
            old = self._old_one()
            if old is not None:
                buffer[:octets] = came
                with contextlib.suppress(NotAuthentic):
                    return old.unprotect_rtp(buffer, octets)
            found = self._found_further_on(came)
            if found is None:
                raise
            buffer[: len(found)] = found
            plain = len(found)
        self._old = None
        self.unprotect_rtp, self.unprotect_rtcp = self._receiver.unprotect_rtp, self._receiver.unprotect_rtcp
        return plain

    def _unprotect_first_report(self, buffer: bytearray, octets: int) -> int:
        """Raises: NotAuthentic"""
        came = bytes(memoryview(buffer)[:octets])
        try:
            plain = self._receiver.unprotect_rtcp(buffer, octets)
        except NotAuthentic:
            old = self._old_one()
            if old is None:
                raise
            buffer[:octets] = came
            return old.unprotect_rtcp(buffer, octets)
        self._old = None
        return plain

    def _old_one(self) -> Context | None:
        """What received under the key before, while that is taken."""
        if self._old is not None and self._clock() >= self._old_until:
            self._old = None
        return self._old

    def _found_further_on(self, came: bytes) -> bytes | None:
        """The packet, if its number has wrapped before we knew of the stream: the worker before us has ended in a long call, or the far end
        counts on under its new key. Nobody tells the counter, and libsrtp takes it from nobody; so it is led there by packets of our own
        making, which go nowhere else. Packets of strangers can use up the search, and no more.
        """
        if not self._searches or len(came) < HEADER_OCTETS:
            return None
        self._searches -= 1
        suite, key = self._keys.suite, self._keys.receive
        maker, receiver = self._context(suite, key, _SENDS), self._context(suite, key, _RECEIVES)
        buffer = bytearray(max(len(came), HEADER_OCTETS + LENGTHS[suite].rtp_tag))
        ssrc = int.from_bytes(came[8:12], "big")
        for index in range(0, MOST_WRAPS << 16, _STRIDE):
            HEADER.pack_into(buffer, 0, 0x80, 0, index & 0xFFFF, 0, ssrc)
            receiver.unprotect_rtp(buffer, maker.protect_rtp(buffer, HEADER_OCTETS))
            buffer[: len(came)] = came
            with contextlib.suppress(NotAuthentic):
                octets = receiver.unprotect_rtp(buffer, len(came))
                self._receiver = receiver
                return bytes(memoryview(buffer)[:octets])
        return None
