"""What waits to be saved, in times the test chooses (`test_cdr_feed` drives it with a writer behind)."""

import msgspec

from acd.cdr_queue import BATCH, FLUSH_S, LINGER_S, RETRY_LAST_S, CdrQueue
from billing_cdr.cdr import Cdr
from tests.billing_cdr.test_store import some_cdrs

(ONE,) = some_cdrs(1)


def queue_of(*ids: str) -> CdrQueue:
    queue = CdrQueue()
    queue.seq = 9
    for one in ids:
        queue.put(record(one), None)
    return queue


def record(name: str) -> Cdr:
    return msgspec.structs.replace(ONE, id=name)


def test_who_lingers_is_due_after_its_own_time_unless_its_record_came() -> None:
    queue = CdrQueue()
    queue.linger(["c1", "c2"], 10.0)
    queue.linger(["c3"], 11.0)
    queue.put(record("c2"), None)
    assert (queue.next_timeout(), queue.lingering) == (10.0 + LINGER_S, {"c1", "c3"})
    assert queue.due(10.0 + LINGER_S) == ["c1"]
    assert queue.next_timeout() == 11.0 + LINGER_S
    assert queue.rest() == ["c3"]
    assert queue.next_timeout() is None


def test_complete_to_here_goes_with_the_last_alone_and_never_again_once_one_was_refused() -> None:
    queue = queue_of(*(f"c{number}" for number in range(BATCH + 1)))
    first = queue.first()
    assert (len(first.records), queue.position(first)) == (BATCH, 0)
    queue.saved(first, 0)
    last = queue.first()
    assert queue.position(last) == 9
    queue.put_aside(last)
    queue.put(record("later"), None)
    assert queue.position(queue.first()) == 0
    assert not queue.is_settled


def test_a_batch_that_is_refused_is_tried_one_by_one() -> None:
    queue = queue_of("c1", "c2")
    singles = list(queue.first().single())
    assert [(one.cdrs[0].id, queue.position(one)) for one in singles] == [("c1", 0), ("c2", 9)]


def test_while_the_database_is_away_it_is_tried_after_twice_the_time_and_said_once() -> None:
    queue = queue_of("c1")
    queue.tried(100.0)
    assert queue.pause_s(100.0) == FLUSH_S
    assert [queue.went_away(100.0 + at) for at in range(6)] == [True, False, False, False, False, False]
    assert queue.pause_s(100.0) == RETRY_LAST_S
    queue.put(record("c2"), None)  # kept as octets meanwhile
    batch = queue.first()
    assert [cdr.id for cdr in batch.cdrs] == ["c1", "c2"]
    queue.saved(batch, 9)
    assert queue.came_back(130.0) == (30.0, 2)
    assert queue.came_back(131.0) is None
    assert queue.pause_s(100.0) == FLUSH_S


def test_a_note_on_a_record_that_is_still_to_come_waits_behind_the_others() -> None:
    queue = CdrQueue()
    queue.late = [("c1", "sold"), ("c2", "lost")]
    (now,) = queue.notes(lambda call: call == "c1")
    assert list(now) == [("c2", "lost")]
    queue.noted(now)
    assert queue.late == [("c1", "sold")]
