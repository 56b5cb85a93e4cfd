"""One press, one digit, whatever a party tells of it by."""

import pytest

from acd.switch.digits import WITHIN_S, Presses


def told(*facts):
    """The keys that count, of (what, key, means, at)."""
    presses = Presses()
    counted = []
    for what, key, means, at in facts:
        if what == "down":
            presses.down(key, means, at)
            continue
        press = presses.info(key, at) if means == "info" else presses.up(key, means, at)
        counted += press.key if press.tell() else ""
    return "".join(counted)


def event(key, begins, ends, means="event"):
    return ("down", key, means, begins), ("up", key, means, ends)


def info(key, at):
    return (("info", key, "info", at),)


CASES = {
    "events alone": ((*event("5", 0, 0.1), *event("5", 0.2, 0.3)), "55"),
    "INFO alone": ((*info("5", 0), *info("5", 0.05)), "55"),
    "INFO while the key is down": ((event("5", 0, 0.1)[0], *info("5", 0.05), event("5", 0, 0.1)[1]), "5"),
    "INFO before the event": ((*info("5", 0), *event("5", 0.1, 0.2)), "5"),
    "INFO after the event": ((*event("5", 0, 0.1), *info("5", 0.7)), "5"),
    "INFO at the end of a long press": ((*event("5", 0, 4.0), *info("5", 4.1)), "5"),
    "INFO at the beginning of a long press": ((*info("5", 0), *event("5", 0.02, 4.0)), "5"),
    "INFO and a tone": ((*info("5", 0), *event("5", 0.04, 0.14, "tone")), "5"),
    "two presses, both ways": ((*event("5", 0, 0.1), *info("5", 0.11), *event("5", 0.2, 0.3), *info("5", 0.31)), "55"),
    "two presses, INFO behind both": ((*event("5", 0, 0.1), *event("5", 0.2, 0.3), *info("5", 0.4), *info("5", 0.41)), "55"),
    "other keys": ((*event("5", 0, 0.1), *info("6", 0.11)), "56"),
    "much later": ((*event("5", 0, 0.1), *info("5", 0.2 + WITHIN_S)), "55"),
    "an end whose beginning nobody told of": ((("up", "5", "event", 0.1), *info("5", 0.2)), "5"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_press_is_one_digit(case):
    facts, digits = CASES[case]
    assert told(*facts) == digits
