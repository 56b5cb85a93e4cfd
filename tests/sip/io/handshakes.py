"""What two endpoints of a test make handshakes with: an authority of this process, and one certificate for this machine's addresses."""

import tempfile
from functools import cache
from pathlib import Path

from sip.flow import TransportName
from sip.io.tls import dialling_context, listening_context
from sip.io.transport import Contexts
from tests.certificates import Authority


@cache
def _contexts() -> Contexts:
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        return Contexts(listening_context(authority.issue("127.0.0.1", "::1", "localhost"), None), dialling_context(authority.file))


def contexts_for(transport: TransportName) -> Contexts | None:
    """Those of TLS; None: the transport has no handshake."""
    return _contexts() if transport == "tls" else None
