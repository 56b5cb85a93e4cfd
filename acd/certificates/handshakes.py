"""What `sip.io` knows of handshakes, for those who may not import it: HTTPS answers them as SIP does."""

from sip.io.handshakes import REASONS, TOO_LATE, Telling, reason_of, words_of
from sip.io.tls import listening_context

__all__ = ["REASONS", "TOO_LATE", "Telling", "listening_context", "reason_of", "words_of"]
