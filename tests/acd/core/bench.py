"""What a call costs in the core alone: `python -m tests.acd.core.bench` (no shell, no sockets; figures for load/README.md).

CPU time of the process, the least of five parts of a run, so that other work on the machine is no part of it. `--sizes`: calls by number
of agents alone, which `load.alternate` compares between two checkouts.
"""

from __future__ import annotations

import argparse
import sys
import time

from acd.core import effects as ef
from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.engine import Engine
from acd.core.replay import Entry, encode
from tests.acd.core.shell import T0, agent, house, queue


def engine_with(agents: int, ready: int, **more: object) -> Engine:
    people = tuple(agent(f"a{n:03}") for n in range(agents))
    engine = Engine("demo")
    engine.handle(inp.Configured(configuration=house(agents=people, queues=(queue(after_call_work_s=1.0, **more),))), T0)
    for n, one in enumerate(people):
        engine.handle(inp.DeviceRegistered(agent=one.id, contact="sip:x", expires_at=T0 + 1e8), T0)
        if n < ready:
            engine.handle(inp.LogOn(agent=one.id, ready=True), T0 + n * 1e-3)
    return engine


def one_call(engine: Engine, n: int, now: float, journal: list[Entry] | None = None) -> tuple[int, int]:
    """All the inputs of a queue call that is answered, with its after-call work; returns inputs and events."""
    name = f"c{n}"
    inputs = events = 0

    def give(one: inp.Input, after: float) -> list[ef.Effect]:
        nonlocal inputs, events
        step = engine.handle(one, now + after)
        inputs += 1
        events += len(step.events)
        if journal is not None:
            journal.append(Entry(inputs, now, one, tuple(step.events)))
        return step.effects

    effects = give(inp.CallArrived(call=name, leg=f"{name}-in", trunk="pbx", calling="+49891234", called="601"), 0.0)
    leg = next(one.leg for one in effects if isinstance(one, ef.OriginateToAgent))
    give(inp.LegAnswered(leg=f"{name}-in"), 0.02)
    give(inp.LegAlerting(leg=leg), 0.05)
    effects = give(inp.SoundsEnded(leg=f"{name}-in", play=f"{name}-in/p1"), 2.0)
    give(inp.SoundsEnded(leg=f"{name}-in", play=f"{name}-in/p2"), 4.0)
    give(inp.LegAnswered(leg=leg), 5.0)
    give(inp.LegReleased(leg=f"{name}-in"), 60.0)
    give(inp.QualityMeasured(leg=f"{name}-in", quality={"mos": 4.4}), 60.1)
    give(inp.QualityMeasured(leg=leg, quality={"mos": 4.4}), 60.1)
    give(inp.TimePassed(), 61.0)
    return inputs, events


PARTS = 5
CALLS = 400
"""Of a part."""
SIZES = (50, 200, 1000, 5000)


def calls_of(agents: int, ready: int) -> str:
    """Measure calls one after the other, and say so in a line."""
    engine, made, parts, journal = engine_with(agents, ready), 0, list[float](), list[Entry]()
    for _ in range(1 + PARTS):  # the first fills what is kept
        began = time.process_time()
        for n in range(made, made + CALLS):
            inputs, events = one_call(engine, n, T0 + 100 * (n + 1))
        made += CALLS
        parts.append((time.process_time() - began) / CALLS)
    spent = min(parts[1:])
    one_call(engine, made, T0 + 100 * (made + 1), journal)
    size = sum(len(encode(entry)) for entry in journal)
    return (
        f"{agents} agents, {ready} ready: {spent * 1e6:.1f} us per call ({inputs} inputs, {events} events, "
        f"{events / spent:.0f} events/s), journal {size} octets per call\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.acd.core.bench")
    parser.add_argument("--sizes", action="store_true", help="calls only, by number of agents")
    if parser.parse_args().sizes:
        for size in SIZES:
            sys.stdout.write(calls_of(size, size))
        return 0
    for agents, ready in ((20, 20), (200, 200), (200, 10), *((size, size) for size in SIZES if size > 200)):
        sys.stdout.write(calls_of(agents, ready))
    engine = engine_with(200, 0)
    for n in range(1000):
        engine.handle(inp.CallArrived(call=f"w{n}", leg=f"w{n}-in", trunk="pbx", called="601"), T0 + 10 + n * 1e-3)
    spent = 0.0
    for n in range(200):
        began = time.perf_counter()
        step = engine.handle(inp.LogOn(agent=f"a{n:03}", ready=True), T0 + 20)
        spent += time.perf_counter() - began
        assert sum(isinstance(one, ev.OfferMade) for one in step.events) == 1
    sys.stdout.write(f"1000 waiting, 200 agents: {spent / 200 * 1e6:.0f} us from ready to offer\n")
    began = time.perf_counter()
    for n in range(200):
        engine.handle(inp.LegAlerting(leg=f"w{n}.1"), T0 + 21)
    sys.stdout.write(f"an input that frees nobody, 800 waiting: {(time.perf_counter() - began) / 200 * 1e6:.0f} us\n")
    began = time.perf_counter()
    for _ in range(20):
        engine.state_hash()
    sys.stdout.write(f"state hash with 1000 calls and 200 agents: {(time.perf_counter() - began) / 20 * 1e6:.0f} us\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
