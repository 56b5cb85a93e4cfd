"""A protection that protects from nothing: every octet behind the header turned over, and four octets of a checksum (tests of the seam)."""

import functools
import sys
import zlib

from media.errors import NotAuthentic
from media.transport.protected import ProtectedTransport
from media.transport.udp import open_udp

TAG_OCTETS = 4
RTP, RTCP = 12, 8


class Xor:
    """Implements `media.transport.base.Protection`; the same key both ways."""

    def __init__(self, key=0x5A):
        self._key = key

    def protect_rtp(self, buffer, octets):
        return self._laid(buffer, self.seal(bytes(buffer[:octets]), RTP))

    def protect_rtcp(self, buffer, octets):
        return self._laid(buffer, self.seal(bytes(buffer[:octets]), RTCP))

    def unprotect_rtp(self, buffer, octets):
        return self._laid(buffer, self.open(bytes(buffer[:octets]), RTP))

    def unprotect_rtcp(self, buffer, octets):
        return self._laid(buffer, self.open(bytes(buffer[:octets]), RTCP))

    @staticmethod
    def _laid(buffer, made):
        buffer[: len(made)] = made
        return len(made)

    def _turned(self, octets, header):
        return octets[:header] + bytes(octet ^ self._key for octet in octets[header:])

    def seal(self, octets, header):
        sealed = self._turned(octets, header)
        return sealed + zlib.crc32(sealed, self._key).to_bytes(TAG_OCTETS, "big")

    def open(self, octets, header):
        sealed, tag = octets[:-TAG_OCTETS], octets[-TAG_OCTETS:]
        if len(sealed) < header or zlib.crc32(sealed, self._key).to_bytes(TAG_OCTETS, "big") != tag:
            raise NotAuthentic("the tag does not fit")
        return self._turned(sealed, header)


def open_xor(address, port):
    """What a worker opens in place of plain UDP."""
    return ProtectedTransport(open_udp(address, port), Xor())


def main():
    """A media worker all of whose legs are protected."""
    import media.worker

    media.worker.Worker = functools.partial(media.worker.Worker, open_transport=open_xor)
    return media.worker.main()


if __name__ == "__main__":
    sys.exit(main())
