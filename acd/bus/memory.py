"""The bus of one process: a request is a call, an event is put before each subscriber, by reference (DESIGN.md §2).

With a codec everything is written as octets and read again on its way, in both directions: so the tests prove that all of it could travel.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from acd.bus.codec import Codec
from acd.bus.protocol import ANSWER_S, DEPTH, Handler, R, Request, Unanswered, matches
from acd.errors import StreamOverrun


class Heard:
    """A subscription; see `acd.bus.protocol.Subscription`."""

    def __init__(self, topics: Iterable[str], depth: int, forget: Callable[[Heard], None]) -> None:
        self.topics = tuple(topics)
        self._depth = depth
        self._forget = forget
        self._events: deque[Any] = deque()
        self._wake = asyncio.Event()
        self._overrun = False
        self._closed = False

    def wants(self, topic: str) -> bool:
        """Whether it hears the topic."""
        return any(matches(one, topic) for one in self.topics)

    def put(self, event: Any) -> None:
        """Something was published."""
        if self._overrun:
            return
        if len(self._events) >= self._depth:
            self._overrun = True
            self._events.clear()
        else:
            self._events.append(event)
        self._wake.set()

    def __aiter__(self) -> Heard:
        return self

    async def __anext__(self) -> Any:
        while not self._events:
            if self._overrun:
                raise StreamOverrun(f"more than {self._depth} events behind")
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._events.popleft()

    def close(self) -> None:
        """Hear nothing more; who reads comes to the end."""
        self._closed = True
        self._forget(self)
        self._events.clear()
        self._wake.set()


class _Topic:
    """Who hears a topic, and its last word. Also its publisher."""

    def __init__(self, codec: Codec | None) -> None:
        self._codec = codec
        self.heard: list[Heard] = []
        self.retained: Any = None

    @property
    def is_heard(self) -> bool:
        return bool(self.heard)

    def __call__(self, event: msgspec.Struct) -> None:
        for one in self.heard:
            one.put(self.carried(event))

    def carried(self, event: msgspec.Struct) -> Any:
        """As it arrives."""
        return event if self._codec is None else self._codec.read_event(self._codec.event(event))


class MemoryBus:
    """See the module.

    Args:
        codec: everything is written and read on its way; None: it passes by reference.
    """

    def __init__(self, codec: Codec | None = None) -> None:
        self._codec = codec
        self._served: dict[str, Handler] = {}
        self._found: dict[str, Handler] = {}
        """By topic, what was found by its pattern."""
        self._topics: dict[str, _Topic] = {}
        self._subscriptions: list[Heard] = []

    async def request(self, topic: str, message: Request[R], *, within_s: float = ANSWER_S) -> R:
        """See `Bus.request`."""
        del within_s
        handler = self._found.get(topic) or self._find(topic)
        if self._codec is None:
            reply: R = await handler(message)
            return reply
        given = self._codec.read_request(self._codec.request(message))
        try:
            octets = self._codec.reply(await handler(given))
        except Exception as error:
            octets = self._codec.refused(error)
        told: R = self._codec.read_reply(message, octets)
        return told

    def _find(self, topic: str) -> Handler:
        for pattern, handler in self._served.items():
            if matches(pattern, topic):
                self._found[topic] = handler
                return handler
        raise Unanswered(f"nobody serves {topic}")

    def serve(self, topic: str, handler: Handler) -> Callable[[], None]:
        """See `Bus.serve`.

        Raises: ValueError: it is served already; there is one of each in a process.
        """
        if topic in self._served:
            raise ValueError(f"{topic} is served already")
        self._served[topic] = handler

        def stop() -> None:
            if self._served.get(topic) is handler:
                del self._served[topic]
                self._found.clear()

        return stop

    def publisher(self, topic: str) -> _Topic:
        """See `Bus.publisher`."""
        found = self._topics.get(topic)
        if found is None:
            found = self._topics[topic] = _Topic(self._codec)
            found.heard = [one for one in self._subscriptions if one.wants(topic)]
        return found

    def publish(self, topic: str, event: msgspec.Struct | None, *, retained: bool = False) -> None:
        """See `Bus.publish`."""
        publisher = self.publisher(topic)
        if retained:
            publisher.retained = event
        if event is not None:
            publisher(event)

    def subscribe(self, *topics: str, depth: int = DEPTH) -> Heard:
        """See `Bus.subscribe`."""
        made = Heard(topics, depth, self._forget)
        self._subscriptions.append(made)
        for name, topic in self._topics.items():
            if made.wants(name):
                topic.heard = [*topic.heard, made]
                if topic.retained is not None:
                    made.put(topic.carried(topic.retained))
        return made

    def _forget(self, one: Heard) -> None:
        if one in self._subscriptions:
            self._subscriptions.remove(one)
        for topic in self._topics.values():
            if one in topic.heard:
                topic.heard = [other for other in topic.heard if other is not one]
