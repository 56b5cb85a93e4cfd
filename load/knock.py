"""Two questions to a SIP address before or after a run: does anybody answer there, and has somebody the number already (RFC 3261 §11)."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket

from load.diagnosis import Knock
from load.phones import CallFailed, SyntheticPhone

PROBE = "+493023125799"
"""Who asks, of the numbers that are kept for load runs (`load.provision`)."""
PATIENCE_S = 2.0
"""An OPTIONS or a 404 costs a service milliseconds; a lost packet is repeated by then (timer A, 0.5 s)."""


async def knock(server: tuple[str, int], local_address: str) -> Knock:
    """Send OPTIONS over UDP: a connected socket is told of the ICMP error that others never see."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        try:
            asking.bind((local_address, 0))
            await loop.sock_connect(asking, server)
            await loop.sock_sendall(asking, _options(*server, *asking.getsockname()))
            async with asyncio.timeout(PATIENCE_S):
                answer = await loop.sock_recv(asking, 65_535)
        except ConnectionRefusedError:
            return "refused"
        except OSError:  # TimeoutError is one
            return "silent"
    return "answers" if answer.startswith(b"SIP/2.0 ") else "silent"


def _options(host: str, port: int, local_host: str, local_port: int) -> bytes:
    token = secrets.token_hex(8)
    lines = (
        f"OPTIONS sip:{host}:{port} SIP/2.0",
        f"Via: SIP/2.0/UDP {local_host}:{local_port};rport;branch=z9hG4bK{token}",
        "Max-Forwards: 70",
        f"From: <sip:load@{local_host}>;tag={token}",
        f"To: <sip:{host}>",
        f"Call-ID: {token}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


async def takes_call(server: tuple[str, int], local_address: str, number: str) -> bool:
    """Whether somebody takes a call from this address to this number, or lets it ring; it is hung up at once.

    Raises: OSError: the address is not this machine's.
    """
    async with SyntheticPhone(server, user=PROBE, address=local_address) as phone:
        call = await phone.call(number)
        try:
            await call.ringing(PATIENCE_S)
        except (CallFailed, TimeoutError):
            return False
        call.hang_up()
        with contextlib.suppress(TimeoutError):
            await call.ended(PATIENCE_S)
        return True
