"""What a bus promises, whatever carries it: one process, or an MQTT 5 broker (DESIGN.md §2).

Topics are paths of words, `fernamt/events/acme`; in a subscription, and where requests are served, `+` stands for any one word. Whatever is
sent is a msgspec struct that can be written as octets (`acd.bus.codec`): no callable, no connection, no future.

**Requests** are carried out at most once. Who asks gets the reply, a refusal as the exception that it is, or `Unanswered`: nobody serves
the topic, or no reply came in time. After the latter it is not known whether it was carried out; whoever must know looks, nobody repeats.
**Events** reach those who are subscribed at the time, in the order of their topic; a subscriber that is too far behind loses them all and
is told (`StreamOverrun`). **Retained** events are the last word on something: a late subscriber gets that first.
**Disconnected**: a bus that has lost its broker raises `Unanswered` to who asks and `StreamOverrun` to who listens, who then fetches the
state and listens again; that a node has died is said by its last will, a retained event.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, Self, TypeVar

import msgspec

from acd.errors import VoiceServiceError

R = TypeVar("R")

ANSWER_S = 30.0
"""So long a reply may take, where the request names nothing else."""
DEPTH = 10_000
"""Events a subscriber may be behind: about ten seconds of a very busy tenant."""


class Request(msgspec.Struct, Generic[R], frozen=True, kw_only=True, tag=True):
    """Something asked of who serves a topic; `R` is the type of the reply."""


class Unanswered(VoiceServiceError):
    """Nobody serves the topic, or no reply came in time; the text names the topic."""


class Publisher(Protocol):
    """Where the events of one topic go."""

    @property
    def is_heard(self) -> bool:
        """Whether somebody may be listening: nothing need be written for nobody."""

    def __call__(self, event: msgspec.Struct) -> None:
        """Publish; returns at once."""


class Subscription(Protocol):
    """Events of some topics, from the moment of subscribing on; closed by who made it."""

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> Any:
        """The next event. Raises: StreamOverrun, StopAsyncIteration (closed)."""

    def close(self) -> None:
        """Hear nothing more."""


Handler = Callable[[Any], Awaitable[Any]]
"""Carries out a request: returns the reply, or raises a refusal (`acd.refusals`)."""


class Bus(Protocol):
    """See the module."""

    async def request(self, topic: str, message: Request[R], *, within_s: float = ANSWER_S) -> R:
        """Ask who serves the topic.

        Args:
            within_s: how long a reply may take over a wire; within one process a reply is a return, which cannot be lost.
        Raises: Unanswered; the refusal.
        """

    def serve(self, topic: str, handler: Handler) -> Callable[[], None]:
        """Answer the requests of a topic; returns what ends it. Of two that serve the same one, each request goes to one."""

    def publisher(self, topic: str) -> Publisher:
        """Where to publish often: found once, kept."""

    def publish(self, topic: str, event: msgspec.Struct | None, *, retained: bool = False) -> None:
        """Publish one event; retained: it is kept as the last word of its topic. None with `retained` takes that away."""

    def subscribe(self, *topics: str, depth: int = DEPTH) -> Subscription:
        """Hear these topics; what is retained comes first."""


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic is meant by a pattern: the same words, `+` for any one."""
    if pattern == topic:
        return True
    wanted, given = pattern.split("/"), topic.split("/")
    return len(wanted) == len(given) and all(one in {"+", word} for one, word in zip(wanted, given, strict=True))
