"""The exceptions of the media package (house).

- `MediaError`
    - `ParseError`: a datagram from the wire is not what its place demands; dropped and counted, never fatal
        - `OtherVersion`: a worker greets with another version of the control protocol; nothing else it says is read
        - `NotAuthentic`: a packet on a protected line that is not the far end's, or was seen before; dropped and counted
    - `PortsExhausted`: no port pair is free; the reason says how many rest in quarantine
    - `UnknownSound`: a prompt name that is in no sound library
    - `Refused`: the worker answered a request with a refusal
    - `WorkerGone`: the worker process ended while a request was under way
"""

from __future__ import annotations


class MediaError(Exception):
    """Root of everything this package raises."""


class ParseError(MediaError):
    """Wire input that is malformed; the far end's fault."""


class OtherVersion(ParseError):
    """The worker at the other end speaks another version of the control protocol."""

    def __init__(self, version: int, ours: int) -> None:
        super().__init__(f"the worker speaks version {version} of the control protocol, not {ours}")
        self.version = version


class NotAuthentic(ParseError):
    """A packet that does not unprotect."""


class PortsExhausted(MediaError):
    """The port pool has nothing to give."""


class UnknownSound(MediaError):
    """The sound library knows no sound of this name."""


class Refused(MediaError):
    """The worker could not carry out a request; the text is its reason."""


class WorkerGone(MediaError):
    """The media worker ended before it answered."""
