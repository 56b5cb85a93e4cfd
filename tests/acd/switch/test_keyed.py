"""Commands keyed in a conversation, among all other keys."""

import pytest

from acd.switch.keyed import LONGEST_NUMBER, WITHIN_S, Keyed, with_number


def commands(keys: str, prefix: str = "**", apart_s: float = 0.5) -> list[str]:
    keyed = Keyed()
    return [command for at, key in enumerate(keys) if (command := keyed.pressed(key, prefix, at * apart_s)) is not None]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("**1", ["1"]),
        ("**3**5", ["3", "5"]),
        ("**212#", ["212#"]),
        ("**200493012345#", ["200493012345#"]),
        ("1234*56#", []),
        ("*1", []),
        ("***1", ["1"]),
        ("****3", ["3"]),
        ("**2#", ["2#"]),
        ("**2*1**4", ["4"]),
        ("**#**1", ["1"]),
        ("77**4", ["4"]),
    ],
)
def test_a_command_is_what_stands_behind_the_prefix(keys, expected):
    assert commands(keys) == expected


def test_who_waits_too_long_has_begun_nothing():
    assert commands("**1", apart_s=WITHIN_S + 0.1) == []
    assert commands("**1", apart_s=WITHIN_S) == ["1"]


def test_without_a_prefix_no_key_is_a_command():
    assert commands("**1**3", prefix="") == []


def test_a_number_that_is_none_is_not_gathered_without_end():
    assert commands("**2" + "1" * (LONGEST_NUMBER + 1) + "#**4") == ["4"]


@pytest.mark.parametrize(
    ("keyed", "told"),
    [
        ("201711234567#", "2+491711234567#"),
        ("20044446681800#", "2+44446681800#"),
        ("222#", "222#"),
        ("2112#", "2112#"),
        ("2#", "2#"),
        ("1", "1"),
    ],
)
def test_a_keyed_number_is_written_as_every_number_of_the_house(keyed, told):
    """What the carrier is sent, what the record says and what a search finds is one number, however it was asked for."""
    assert with_number(keyed) == told
