"""Handshakes of TLS: why they come to nothing, and how much of that is told (RFC 8446, RFC 5246)."""

import ssl
from typing import Final

# House: so many handshakes that came to nothing are told of one by one within a second; of the others how many they were.
TOLD_A_SECOND: Final = 10

REASONS: Final = ("timeout", "closed", "not_tls", "version", "cipher", "certificate", "identity", "other")
"""Why a handshake came to nothing: not done in time; the far end left; what came is no TLS; no version, or no cipher, in common; one side
does not accept the other's certificate; it is somebody else's; anything else."""
_REASON_OF: Final = {
    "HTTP_REQUEST": "not_tls",
    "HTTPS_PROXY_REQUEST": "not_tls",
    "WRONG_VERSION_NUMBER": "not_tls",
    "UNKNOWN_PROTOCOL": "not_tls",
    "RECORD_LAYER_FAILURE": "not_tls",
    "PACKET_LENGTH_TOO_LONG": "not_tls",
    "BAD_RECORD_TYPE": "not_tls",
    "UNSUPPORTED_PROTOCOL": "version",
    "VERSION_TOO_LOW": "version",
    "NO_PROTOCOLS_AVAILABLE": "version",
    "TLSV1_ALERT_PROTOCOL_VERSION": "version",
    "NO_SHARED_CIPHER": "cipher",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "cipher",
    "CERTIFICATE_VERIFY_FAILED": "certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "certificate",
    "TLSV1_ALERT_DECRYPT_ERROR": "certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "certificate",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "certificate",
}
"""What OpenSSL calls it; alerts are the far end's word."""

TOO_LATE: Final = ("timeout", "no handshake in time")
"""Reason and words."""


def reason_of(error: ssl.SSLError) -> str:
    """One of REASONS."""
    return _REASON_OF.get(error.reason or "", "other")


def words_of(error: ssl.SSLError) -> str:
    """What OpenSSL says, without the notation of Python."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    return (error.reason or str(error)).replace("_", " ").lower()


class Telling:
    """What is told of handshakes that came to nothing: not the whole of a flood."""

    def __init__(self) -> None:
        self._since, self._told, self._untold = float("-inf"), 0, 0

    def failed(self, words: str, now: float) -> list[str]:
        """One has.

        Returns: what is to be said now, a line each.
        """
        lines = []
        if now - self._since >= 1.0:
            if self._untold:
                lines.append(f"no TLS, and {self._untold} handshakes before it that came to nothing are not told of")
            self._since, self._told, self._untold = now, 0, 0
        if self._told >= TOLD_A_SECOND:
            self._untold += 1
            return lines
        self._told += 1
        return [*lines, f"no TLS: {words}"]
