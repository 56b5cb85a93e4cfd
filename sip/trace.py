"""The message log: whole messages at DEBUG, without secrets, with websockets' glyphs (`>` sent, `<` received, `!` trouble).

What a password could be guessed from is left out (`without_secrets`): of Authorization and its kin everything but the names that tell who
wants what (RFC 7616 §3.4; a response with its nonces can be guessed at offline), keys of media (RFC 4568 §9.1), and pressed keys, which
are PINs and card numbers. Headers of a message are of whoever sent it, so what is not known to be harmless is left out, not the reverse.
Who calls is left out where the caller shows it to nobody (`without_caller`).
"""

import logging
import re

from sip.errors import ParseError
from sip.flow import Flow

LOG = logging.getLogger("sip.trace")
HIDDEN = "***"

HARMLESS = frozenset({"username", "username*", "realm", "uri", "algorithm", "qop", "nc", "stale", "domain", "userhash", "charset"})
"""What may be read of a digest header: enough to see who was refused where, not enough to guess a password."""
_AUTHENTICATION = re.compile(
    r"(?im)^(?P<name>(?:proxy-)?authorization|(?:www|proxy)-authenticate|(?:proxy-)?authentication-info)(?P<colon>[ \t]*:[ \t]*)"
    r"(?P<value>[^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*)"
)
"""A header field with its folded lines (RFC 3261 §7.3.1), wherever it stands: a sipfrag is a message in the body of another."""
_SCHEME = re.compile(r"\s*(?P<scheme>[\w.!%*+`'~-]++)(?!\s*=)")
_PARAM = re.compile(r"""(?<![\w.!%*+`'~-])(?P<name>[\w.!%*+`'~-]++)\s*+=\s*+(?P<value>"(?:\\.|[^"\\])*+"|[^\s,"]++)""", re.DOTALL)
_USERINFO = re.compile(r"(?i)(?P<kept>\bsips?:[^:@\s<>\"]{0,255}):[^@\s<>\"]{0,255}@")
"""RFC 3261 §19.1.1: `sip:user:password@host`. Bounded, as what stands here is a stranger's."""
_MEDIA_KEY = re.compile(r"(?im)^(?P<kept>a=crypto[ \t]*:[ \t]*\S+[ \t]+\S+|a=ice-pwd:|a=key-mgmt:\S*|k=[a-z0-9]*:?)[^\r\n]*")
_INLINE_KEY = re.compile(r"(?i)(?P<kept>\binline:)[a-z0-9+/=|:^;]+")
"""The same wherever else it stands, in the repr of a description say."""
_PRESSED = re.compile(r"(?im)(?P<kept>^[ \t]*(?:signal|digit|d)[ \t]*=[ \t]*|\bdigits=\"|;postd=)(?P<keys>[^\r\n\";>]*)")
"""`application/dtmf-relay` (`Signal=5`), KPML's `digits="5"` (RFC 4730 §5), RFC 2806's `;postd=`."""
_STAR_CODE = re.compile(r"(?i)(?P<kept>\b(?:sips?|tel):(?:[*#]|%2a|%23)[0-9]{0,2})(?=[0-9*#%])(?:[0-9*#]|%2a|%23){1,64}")
"""What a phone dials behind a star code: a PIN may be among it."""
_HIDES_CALLER = re.compile(
    r"(?im)^privacy[ \t]*:[^\r\n]*\b(?:id|user|header)\b|^(?:from|f)[ \t]*:[^\r\n]*(?:anonymous\.invalid|:anonymous@)"
    r"|^remote-party-id[ \t]*:[^\r\n]*privacy=\"?(?:full|uri)",
)
"""RFC 3323 §4.2, RFC 3325 §9.3, draft-ietf-sip-privacy-04: the caller shows itself to nobody (§ 15 TDDDG)."""
_IDENTITY = re.compile(
    r"(?im)^(?P<name>p-asserted-identity|p-preferred-identity|remote-party-id|from|f|contact|m|identity|diversion|history-info)"
    r"(?P<colon>[ \t]*:[ \t]*)(?P<value>[^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*)"
)
_TAG = re.compile(r";tag=[A-Za-z0-9\-.!%*_+`'~]+")
MOST_HIDDEN = 4096
"""Dialogs remembered as those of somebody who shows no number: their later messages say it in From alone."""
_hidden: dict[str, None] = {}
_INFO = re.compile(r"INFO\s", re.IGNORECASE)
_KEYS_IN_BODY = re.compile(r"(?im)^(?:content-type|c)[ \t]*:[^\r\n]*(?:dtmf|multipart)")


def sent(flow: Flow, octets: bytes) -> None:
    """A message leaves."""
    _log(">", flow, octets)


def received(flow: Flow, octets: bytes) -> None:
    """A message has come."""
    _log("<", flow, octets)


def trouble(flow: Flow, what: str) -> None:
    """Something is wrong with a flow."""
    LOG.info("! %s %s", flow, what, extra={"flow": str(flow)})


def unresolved(flow: Flow, error: OSError) -> None:
    """A name has no address at the moment; whose it is says so to people, once."""
    LOG.debug("! %s: %s has no address: %s", flow, flow.remote[0], words(error), extra={"flow": str(flow)})


def words(error: OSError | ValueError) -> str:
    """What the system says, without the notation of Python."""
    return (
        getattr(error, "strerror", None) or str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
    )


def unread(flow: Flow, error: ParseError) -> None:
    """What came on a stream is no message; where it broke is told, not what stood there."""
    LOG.debug("! %s no message: %s", flow, error.where, extra={"flow": str(flow)})


def is_on() -> bool:
    """Whether anybody listens; asked once a wake-up, so that a quiet log costs nothing a message."""
    return LOG.isEnabledFor(logging.DEBUG)


def without_secrets(message: str) -> str:
    """The text of a message, or of a part of one, with `***` for everything that lets somebody in and for every pressed key."""
    told = _AUTHENTICATION.sub(_harmless, message)
    told = _USERINFO.sub(rf"\g<kept>:{HIDDEN}@", told)
    told = _MEDIA_KEY.sub(rf"\g<kept> {HIDDEN}", told)
    told = _INLINE_KEY.sub(rf"\g<kept>{HIDDEN}", told)
    told = _PRESSED.sub(rf"\g<kept>{HIDDEN}", told)
    told = _STAR_CODE.sub(rf"\g<kept>{HIDDEN}", told)
    head, blank, body = told.partition("\r\n\r\n")
    if body.strip() and _INFO.match(head) and _KEYS_IN_BODY.search(head):
        return f"{head}{blank}{HIDDEN}"  # `application/dtmf`: the body is the key
    return told


def _harmless(field: re.Match[str]) -> str:
    value = field["value"]
    scheme = _SCHEME.match(value)
    kept = [scheme["scheme"]] if scheme is not None else []
    params = [f"{one['name']}={one['value']}" for one in _PARAM.finditer(value) if one["name"].lower() in HARMLESS]
    return f"{field['name']}{field['colon']}{' '.join([*kept, ', '.join([*params, HIDDEN])])}"


def without_caller(message: str) -> str:
    """The text of a message without what its caller could be known by: in identity headers only the tag of the dialog is left."""

    def hidden(field: re.Match[str]) -> str:
        tag = _TAG.search(field["value"])
        return f"{field['name']}{field['colon']}{HIDDEN}{tag[0] if tag is not None else ''}"

    return _IDENTITY.sub(hidden, message)


def _shows_nobody(message: str, call_id: str) -> bool:
    """Whether the message is of a caller that shows no number, or of a dialog that one began."""
    if call_id in _hidden:
        return True
    if _HIDES_CALLER.search(message.partition("\r\n\r\n")[0]) is None:
        return False
    _hidden[call_id] = None
    if len(_hidden) > MOST_HIDDEN:
        del _hidden[next(iter(_hidden))]
    return True


def _log(glyph: str, flow: Flow, octets: bytes) -> None:
    call_id = _field(octets, (b"\r\nCall-ID:", b"\r\ni:"))
    told = without_secrets(octets.decode("utf-8", "backslashreplace"))
    if _shows_nobody(told, call_id):
        told = without_caller(told)
    cseq = _field(octets, (b"\r\nCSeq:",))
    LOG.debug(
        "%s %s\n%s",
        glyph,
        flow,
        told.rstrip("\r\n"),
        extra={"call_id": call_id, "flow": str(flow), "direction": glyph, "cseq": cseq},
    )


def _field(octets: bytes, names: tuple[bytes, ...]) -> str:
    for name in names:
        at = octets.find(name)
        if at >= 0:
            start = at + len(name)
            return octets[start : octets.find(b"\r\n", start)].strip().decode("utf-8", "replace")
    return "-"
