"""What this system trusts, by a handshake in memory: what a browser does, with the authorities of the system (RFC 5280 §6, RFC 6125)."""

from __future__ import annotations

import ssl

_ROUNDS = 8
"""A handshake takes two."""


def is_trusted(server: ssl.SSLContext, name: str) -> bool:
    """Whether a client of this system that asks for a name is content with what it is shown: chain, dates, name. Blocks for some 10 ms.

    `SSL_CERT_FILE` and `SSL_CERT_DIR` name other authorities (OpenSSL).
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    try:
        theirs = ssl.create_default_context().wrap_bio(to_client, to_server, server_hostname=name)
    except ValueError:  # no name that could be asked for
        return False
    for _ in range(_ROUNDS):
        try:
            theirs.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            return False
        else:
            return True
        try:
            ours.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            return False
    return False
