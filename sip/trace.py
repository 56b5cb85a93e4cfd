"""The message log: one line a message at DEBUG, with websockets' glyphs (`>` sent, `<` received, `!` trouble); whole messages at TRACE."""

import logging

from sip.flow import Flow

LOG = logging.getLogger("sip.trace")
TRACE = 5  # below DEBUG: full texts, with whatever personal data is in them, only on explicit demand


def sent(flow: Flow, octets: bytes) -> None:
    """A message leaves."""
    _log(">", flow, octets)


def received(flow: Flow, octets: bytes) -> None:
    """A message has come."""
    _log("<", flow, octets)


def trouble(flow: Flow, what: str) -> None:
    """Something is wrong with a flow."""
    LOG.info("! %s %s", flow, what, extra={"flow": str(flow)})


def is_on() -> bool:
    """Whether anybody listens; asked once a wake-up, so that a quiet log costs nothing a message."""
    return LOG.isEnabledFor(logging.DEBUG)


def _log(glyph: str, flow: Flow, octets: bytes) -> None:
    start_line = octets.split(b"\r\n", 1)[0].decode("utf-8", "replace")
    call_id = _field(octets, (b"\r\nCall-ID:", b"\r\ni:"))
    cseq = _field(octets, (b"\r\nCSeq:",))
    LOG.debug(
        "%s call_id=%s %s | %s | %s",
        glyph,
        call_id,
        flow,
        start_line,
        cseq,
        extra={"call_id": call_id, "flow": str(flow), "direction": glyph, "cseq": cseq},
    )
    if LOG.isEnabledFor(TRACE):
        LOG.log(TRACE, "%s\n%s", glyph, octets.decode("utf-8", "replace"))


def _field(octets: bytes, names: tuple[bytes, ...]) -> str:
    for name in names:
        at = octets.find(name)
        if at >= 0:
            start = at + len(name)
            return octets[start : octets.find(b"\r\n", start)].strip().decode("utf-8", "replace")
    return "-"
