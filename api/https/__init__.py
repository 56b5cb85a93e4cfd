"""HTTPS on the HTTP port: it knows no business word.

https        all of it, for those who start, serve and tell
certificate  the one in force, and whether browsers trust it
trust        what this system trusts
listener     connections behind a handshake, and those without one
outside      what comes without TLS, and what browsers are told to do without it (RFC 6797)
renewal      when a certificate is asked for, and when again after it was refused
authority    asking for it (RFC 8555)
told         what is said of it
keeper       has it asked for in time
"""

from api.https.https import Https
from api.https.listener import TlsListener
from api.https.outside import OutsideTls

__all__ = ["Https", "OutsideTls", "TlsListener"]
