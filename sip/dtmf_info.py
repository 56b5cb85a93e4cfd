"""Keys in SIP INFO: `application/dtmf-relay` and `application/dtmf`, which no RFC describes and most phones can send.

| body                               | key                                                                                   |
|------------------------------------|---------------------------------------------------------------------------------------|
| `Signal=5` and `Duration=160`      | 5 for 160 ms; blanks round `=` or `:`, any case, any line end, any order              |
| `Signal=5` alone                   | 5; the duration is `DURATION_MS`                                                      |
| `Signal=10`, `Signal=11`           | * and #: the event codes of RFC 4733 §3.2                                             |
| `Signal=12` … `15`, `A` … `d`      | A to D                                                                                |
| `5`, `#`, `10` and nothing else    | the same; `application/dtmf` is written like that, some write it under the other name |
| `Signal=16`, `!`, two keys, others | refused (400): a hook flash is no key, and what cannot be read is never lost unsaid   |
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from sip.errors import ParseError

RELAY: Final = "application/dtmf-relay"
PLAIN: Final = "application/dtmf"
TYPES: Final = frozenset({RELAY, PLAIN})
KEYS: Final = "0123456789*#ABCD"
"""RFC 4733 §3.2: event codes 0 to 15 in this order."""
DURATION_MS: Final = 160
"""What most phones write, and is assumed where none is."""
SHORTEST_MS, LONGEST_MS = 40, 5000
"""Q.24: what every receiver takes for a key; and who holds one longer means no more by it."""

_LINE: Final = re.compile(r"\s*(signal|duration)\s*[=:]\s*(\S*)\s*", re.IGNORECASE).fullmatch


class InfoKey(msgspec.Struct, frozen=True):
    """One key, one of `KEYS`, and for how long it was pressed."""

    key: str
    duration_ms: int


def read(body: bytes) -> InfoKey:
    """The key in the body of an INFO of either type.

    Raises: ParseError: none, or more than one. Its text does not hold what was there: PINs are typed.
    """
    lines = [line for line in body.decode("ascii", "replace").splitlines() if line.strip()]
    fields: dict[str, str] = {}
    for line in lines:
        match = _LINE(line)
        if match is not None:
            fields.setdefault(match[1].lower(), match[2])
    signal = fields.get("signal", lines[0].strip() if len(lines) == 1 else "")
    return InfoKey(_key(signal), _duration(fields.get("duration", "")))


def write(key: str, duration_ms: int) -> tuple[str, bytes]:
    """Content type and body for a key."""
    return RELAY, f"Signal={key}\r\nDuration={duration_ms}\r\n".encode()


def _key(signal: str) -> str:
    if len(signal) == 1 and signal.upper() in KEYS:
        return signal.upper()
    if re.fullmatch("1[0-5]", signal):
        return KEYS[int(signal)]
    raise ParseError("no key of a telephone", where="INFO body")


def _duration(text: str) -> int:
    return min(LONGEST_MS, max(SHORTEST_MS, int(text))) if re.fullmatch("[0-9]{1,6}", text) else DURATION_MS
