"""PINs on their way through the switch: taken out of what was dialled, gathered key by key, shown by nothing."""

import pytest

from acd.core.configuration import FeatureCodes, Number, TenantConfiguration, ToHangUp
from acd.switch.pins import PinEntry, parted
from tests.acd.core.shell import agent

PEOPLE = (agent("anna", extension="11"), agent("ben", extension="12"), agent("cem", extension="1299"))


def configured(**more):
    return TenantConfiguration(tenant="demo", agents=PEOPLE, **more)


@pytest.mark.parametrize(
    ("called", "written", "pin"),
    [
        ("*25", "*25", None),
        ("*2512", "*2512", None),
        ("*251299", "*251299", None),
        ("*2512*4711", "*2512", "4711"),
        ("*2512*4711#", "*2512", "4711"),
        ("*2512*", "*2512", ""),
        ("*25124711", "*25?", ""),
        ("*2577*4711", "*25?", ""),
        ("*25*4711", "*25?", ""),
        ("*2512*47*11", "*25?", ""),
        ("*2112", "*2112", None),
        ("+4925124711", "+4925124711", None),
    ],
)
def test_what_may_be_a_pin_is_not_in_the_number_that_is_written(called, written, pin):
    assert parted(configured(), called) == (written, pin)


def test_another_code_or_number_that_begins_so_is_left_alone():
    codes = FeatureCodes(hot_desk="*2", tag="*23")
    assert parted(configured(feature_codes=codes), "*2342") == ("*2342", None)
    number = Number(number="*2500", target=ToHangUp())
    assert parted(configured(numbers=(number,)), "*2500") == ("*2500", None)
    assert parted(configured(feature_codes=FeatureCodes(hot_desk="")), "*2512*4711") == ("*2512*4711", None)


@pytest.mark.parametrize(
    ("keys", "pin"), [("4711#", "4711"), ("12*4711#", "4711"), ("83051729", "83051729"), ("4711", None), ("#", None), ("#4711#", "4711")]
)
def test_a_pin_is_there_with_the_hash_key_or_its_eighth_digit(keys, pin):
    entry = PinEntry()
    assert entry.wanted_of("ben", "anna") is None
    assert [one for key in keys if (one := entry.pressed(key)) is not None] == ([pin] if pin else [])


def test_it_is_told_once_and_keys_after_it_are_nobody_s():
    entry = PinEntry("4711")
    assert entry.wanted_of("ben", "anna") == "4711"
    assert [entry.pressed(key) for key in "0815#"] == [None] * 5
    assert "4711" not in repr(entry)
