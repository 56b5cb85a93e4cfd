"""A working day in virtual time: seeded callers and agents through the whole engine; `python -m tests.acd.core.day --calls 10000`.

With `--replay FILE` it is the other process: it folds a journal written here and prints one digest over the state hash at every event.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.configuration import (
    Menu,
    Number,
    Overflow,
    Relaxation,
    SkillRequirement,
    TenantConfiguration,
    ToAnnouncement,
    ToMenu,
    ToQueue,
)
from acd.core.engine import Engine
from acd.core.replay import Entry, decode, encode, replay
from tests.acd.core.ledger import Ledger
from tests.acd.core.shell import T0, Phone, Shell, agent, house, queue

SKILLS = ("support", "sales", "billing")


def configuration(agents: int, rng: random.Random) -> TenantConfiguration:
    people = tuple(
        agent(f"a{n:03}", skills={SKILLS[n % 3]: rng.randint(3, 10), rng.choice(SKILLS): rng.randint(1, 6)}, extension=str(1000 + n))
        for n in range(agents)
    )
    queues = tuple(
        queue(
            skill,
            requirements=(SkillRequirement(skill=skill, level=4),),
            relaxations=(
                Relaxation(after_s=30.0, requirements=(SkillRequirement(skill=skill),)),
                Relaxation(after_s=90.0, requirements=()),
            ),
            overflow=(Overflow(target=ToAnnouncement(sounds=("all_busy",)), max_wait_s=300.0),),
            strategy=strategy,
            after_call_work_s=15.0,
            record=skill == "sales",
        )
        for skill, strategy in zip(SKILLS, ("longest_idle", "best_skill", "fewest_calls"), strict=True)
    )
    menu = Menu(id="main", sounds=("menu.main",), options={str(n): ToQueue(queue=skill) for n, skill in enumerate(SKILLS, 1)})
    return house(agents=people, queues=queues, menus=(menu,), numbers=(Number(number="600", target=ToMenu(menu="main")),))


class Callers(Shell):
    """Callers with patience and talk time, agents who are not always there."""

    def __init__(self, seed: int, agents: int) -> None:
        super().__init__(Engine("demo"))
        self.rng = random.Random(seed)
        made = configuration(agents, self.rng)
        self.send(inp.ServiceStarted(), inp.Configured(configuration=made))
        for n, one in enumerate(made.agents):
            # Every thirteenth agent is not at the desk.
            self.phones[one.id] = Phone(answers_after_s=None if n % 13 == 12 else self.rng.uniform(1, 6))
            self.send(inp.DeviceRegistered(agent=one.id, contact=f"sip:{one.id}", expires_at=T0 + 1e7), inp.LogOn(agent=one.id, ready=True))

    def send(self, *inputs: inp.Input) -> list[ev.Event]:
        events = super().send(*inputs)
        for event in events:
            match event:
                case ev.CallEstablished(a=a):
                    self.later(self.rng.expovariate(1 / 120), inp.LegReleased(leg=a))
                case ev.AgentNotReady(agent=one):
                    self.later(self.rng.uniform(10, 60), inp.GoReady(agent=one))
                case _:
                    pass
        return events

    def day(self, calls: int, per_second: float) -> None:
        at = self.now
        for n in range(calls):
            at += self.rng.expovariate(per_second)
            self.run(until=at)
            name = f"c{n}"
            called = self.rng.choice(("600", "601", "602", "603"))
            self.send(inp.CallArrived(call=name, leg=f"{name}-in", trunk="pbx", calling=f"+4989{n:06}", called=called))
            if called == "600":
                self.later(self.rng.uniform(0.5, 6), inp.DigitPressed(leg=f"{name}-in", digit=self.rng.choice("1234")))
            self.later(self.rng.expovariate(1 / 90) + 300 * (self.rng.random() < 0.5), inp.LegReleased(leg=f"{name}-in"))
        self.run(7200)
        for call in list(self.engine.state.calls):
            self.send(inp.ClearCall(call=call, by="end of the day"))
        self.run(600)


def hashes(entries: Iterable[Entry]) -> tuple[int, str]:
    """How many events, and one digest over the state hash after each."""
    digest, count = hashlib.sha256(), 0
    for seq, state_hash in replay(entries, "demo"):
        digest.update(f"{seq} {state_hash}\n".encode())
        count += 1
    return count, digest.hexdigest()


def live_hashes(entries: Iterable[Entry]) -> tuple[int, str]:
    """The same over a live engine that is given the inputs, hashed as each event is emitted."""
    engine = Engine("demo")
    exchange = engine._step
    digest, count = hashlib.sha256(), 0
    plain = exchange.emit
    at = 0

    def emit(event: ev.Event) -> None:
        nonlocal count
        plain(event)
        digest.update(f"{at} {engine.state_hash()}\n".encode())
        count += 1

    exchange.emit = emit  # type: ignore[method-assign]
    for entry in entries:
        at = entry.seq
        engine.handle(entry.input, entry.now)
    return count, digest.hexdigest()


def write(entries: Iterable[Entry], path: Path) -> None:
    with path.open("wb") as file:
        for entry in entries:
            octets = encode(entry)
            file.write(len(octets).to_bytes(4) + octets)


def read(path: Path) -> Iterator[Entry]:
    with path.open("rb") as file:
        while size := file.read(4):
            yield decode(file.read(int.from_bytes(size)))


def elsewhere(path: Path) -> tuple[int, str]:
    """Replay in another process, with another hash seed."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.acd.core.day", "--replay", str(path)],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONHASHSEED": "77"},
    )
    count, digest = ran.stdout.split()
    return int(count), digest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--agents", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.replay is not None:
        count, digest = hashes(read(arguments.replay))
        sys.stdout.write(f"{count} {digest}\n")
        return 0
    began = time.perf_counter()
    callers = Callers(arguments.seed, arguments.agents)
    callers.day(arguments.calls, per_second=arguments.agents / 160)
    ledger = Ledger()
    for event in callers.events:
        ledger.note(event)
    ledger.closed()
    sys.stdout.write(f"{arguments.calls} calls, {ledger.count} events, {dict(ledger.outcomes)}, {time.perf_counter() - began:.1f} s\n")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal"
        write(callers.journal, path)
        sys.stdout.write(f"journal {path.stat().st_size / arguments.calls:.0f} octets per call\n")
        began = time.perf_counter()
        here, there = live_hashes(callers.journal), elsewhere(path)
    sys.stdout.write(f"here {here}\nthere {there}\n{time.perf_counter() - began:.1f} s\n")
    return 0 if here == there else 1


if __name__ == "__main__":
    sys.exit(main())
