"""Certificates of what listens under TLS: read, judged, replaced without a connection being dropped, made where there is none.

pem          files of a certificate and its key, and what they hold
own          one that nobody has vouched for: encryption against who listens, none against who pretends to be us
watched      one in force, and the files it comes from, which may change
sip          that of SIP over TLS
handshakes   why handshakes come to nothing, as `sip.io` has it
"""

from acd.certificates.handshakes import REASONS, TOO_LATE, Telling, listening_context, reason_of, words_of
from acd.certificates.own import Own
from acd.certificates.pem import Files, Judged, Unusable, day, judge, write_secret
from acd.certificates.sip import OWN, SipCertificate, check, read
from acd.certificates.watched import DAY_S, LOOK_S, Watched

__all__ = [
    "DAY_S",
    "LOOK_S",
    "OWN",
    "REASONS",
    "TOO_LATE",
    "Files",
    "Judged",
    "Own",
    "SipCertificate",
    "Telling",
    "Unusable",
    "Watched",
    "check",
    "day",
    "judge",
    "listening_context",
    "read",
    "reason_of",
    "words_of",
    "write_secret",
]
