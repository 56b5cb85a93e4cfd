"""SRTP once more, from the text of the standards alone: key derivation (RFC 3711 §4.3), AES-CM with HMAC-SHA1 (§4.1, §4.2) and AES-GCM
(RFC 7714).

Slow and without a replay list; what libsrtp makes is held against it.
"""

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HEADER = 12
REPORT_HEADER = 8
ENCRYPTION, AUTHENTICATION, SALT = 0, 1, 2
"""Labels of §4.3.2."""
REPORTS = 3
"""Added to each of them for SRTCP."""


def counter_mode(key: bytes, iv: bytes, octets: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor().update(octets)


def derived(master: bytes, label: int, octets: int) -> bytes:
    """§4.3.1, §4.3.3: the label at its place in the salt, and key stream from there; a salt of 12 octets is filled up (RFC 7714 §11)."""
    key, salt = master[:16], master[16:].ljust(14, b"\0")
    x = (int.from_bytes(salt, "big") ^ label << 48) << 16
    return counter_mode(key, x.to_bytes(16, "big"), bytes(octets))


def gcm_report(key: bytes, salt: bytes, compound: bytes, index: int) -> bytes:
    """RFC 7714 §9: of session keys; the E bit is set, and the tag stands before the index."""
    ssrc, trailer = compound[4:8], (1 << 31 | index).to_bytes(4, "big")
    iv = bytes(a ^ b for a, b in zip(salt, b"\0\0" + ssrc + b"\0\0" + index.to_bytes(4, "big"), strict=True))
    head = compound[:REPORT_HEADER]
    return head + AESGCM(key).encrypt(iv, compound[REPORT_HEADER:], head + trailer) + trailer


def counter_mode_report(key: bytes, salt: bytes, auth: bytes, compound: bytes, index: int) -> bytes:
    """RFC 3711 §3.4, §4.1.1: of session keys; the index stands before the tag."""
    iv = int.from_bytes(salt, "big") << 16 ^ int.from_bytes(compound[4:8], "big") << 64 ^ index << 16
    sealed = compound[:REPORT_HEADER] + counter_mode(key, iv.to_bytes(16, "big"), compound[REPORT_HEADER:])
    sealed += (1 << 31 | index).to_bytes(4, "big")
    return sealed + hmac.new(auth, sealed, hashlib.sha1).digest()[:10]


def gcm(key: bytes, salt: bytes, packet: bytes, roc: int = 0) -> bytes:
    """RFC 7714 §8: of session keys."""
    ssrc, number = packet[8:12], packet[2:4]
    iv = bytes(a ^ b for a, b in zip(salt, b"\0\0" + ssrc + roc.to_bytes(4, "big") + number, strict=True))
    return packet[:HEADER] + AESGCM(key).encrypt(iv, packet[HEADER:], packet[:HEADER])


def counter_mode_sha1_80(key: bytes, salt: bytes, auth: bytes, packet: bytes, roc: int = 0) -> bytes:
    """RFC 3711 §4.1.1, §4.2: of session keys."""
    index = roc << 16 | int.from_bytes(packet[2:4], "big")
    iv = int.from_bytes(salt, "big") << 16 ^ int.from_bytes(packet[8:12], "big") << 64 ^ index << 16
    sealed = packet[:HEADER] + counter_mode(key, iv.to_bytes(16, "big"), packet[HEADER:])
    return sealed + hmac.new(auth, sealed + roc.to_bytes(4, "big"), hashlib.sha1).digest()[:10]


def protected(suite: str, master: bytes, packet: bytes, roc: int = 0) -> bytes:
    """A whole packet, from the master key and salt."""
    key = derived(master, ENCRYPTION, 16)
    if suite == "AEAD_AES_128_GCM":
        return gcm(key, derived(master, SALT, 12), packet, roc)
    return counter_mode_sha1_80(key, derived(master, SALT, 14), derived(master, AUTHENTICATION, 20), packet, roc)


def protected_report(suite: str, master: bytes, compound: bytes, index: int) -> bytes:
    """A whole compound, from the master key and salt."""
    key = derived(master, REPORTS + ENCRYPTION, 16)
    if suite == "AEAD_AES_128_GCM":
        return gcm_report(key, derived(master, REPORTS + SALT, 12), compound, index)
    auth = derived(master, REPORTS + AUTHENTICATION, 20)
    return counter_mode_report(key, derived(master, REPORTS + SALT, 14), auth, compound, index)
