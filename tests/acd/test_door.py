"""What enters the exchange is what the journal will read: nothing gets in that cannot be written, or comes back as something else."""

import math
from decimal import Decimal

import msgspec
import pytest

from acd.core import inputs as inp
from acd.core.engine import Engine
from acd.core.replay import Entry, decode, encode
from acd.door import LEAST, MOST, admit, plain
from billing_cdr.quote import Quote
from tests.acd.core.shell import QUOTE as OF_THE_CORE

QUOTE = {"plan": "house", "per_minute": Decimal("0.0200"), "free_ms": 0, "vat_included": False, "bands": ({"band": "always"},)}


def test_a_quote_enters_as_it_is_read():
    told = inp.LegPriced(leg="c.1", quote=QUOTE)
    assert admit(told).quote == {
        "plan": "house",
        "per_minute": "0.0200",
        "free_ms": 0,
        "vat_included": False,
        "bands": [{"band": "always"}],
    }
    assert plain(QUOTE) == admit(told).quote
    dialled = admit(inp.Dial(agent="anna", call="c", number="+49891", quote=QUOTE))
    entry = Entry(1, 0.0, dialled, ())
    assert decode(encode(entry)) == entry


def test_the_core_is_tested_with_prices_as_they_come():
    assert plain(msgspec.convert(OF_THE_CORE, Quote)) == OF_THE_CORE


def test_half_a_surrogate_pair_enters_as_the_replacement_character():
    """A `\\ud800` of JSON (RFC 8259 §8.2) is no character and UTF-8 has no form for it (RFC 3629 §3)."""
    assert admit(inp.GoNotReady(agent="anna", reason="lunch\ud800!")).reason == "lunch\ufffd!"
    assert admit(inp.Dial(agent="a", call="c", number="1", quote={"\udcff": ["\udcff"]})).quote == {"\ufffd": ["\ufffd"]}
    whole = inp.GoNotReady(agent="anna", reason="\U0001f600")
    assert admit(whole) == whole


def test_a_number_beyond_64_bits_enters_as_the_nearest_within():
    """MessagePack's integers end at uint 64 and int 64."""
    quality = {"most": 2**64, "least": -(2**63) - 1, "mos": 4.4}
    assert admit(inp.QualityMeasured(leg="c.1", quality=quality)).quality == {"most": MOST, "least": LEAST, "mos": 4.4}
    assert (MOST, LEAST) == (18_446_744_073_709_551_615, -9_223_372_036_854_775_808)


def test_a_whole_number_enters_as_the_seconds_it_is_meant_as():
    registered = admit(inp.DeviceRegistered(agent="anna", contact="sip:x", expires_at=1_850_000_000))
    assert type(registered.expires_at) is float
    assert admit(inp.DeviceRegistered(agent="anna", contact="sip:x", expires_at=math.inf)).expires_at == math.inf


def test_what_is_not_declared_is_refused_by_name():
    with pytest.raises(msgspec.ValidationError, match=r"\$\.status"):
        admit(inp.LegFailed(leg="c.1", cause="busy", status="486"))
    with pytest.raises(msgspec.ValidationError, match=r"\$\.cause"):
        admit(inp.LegFailed(leg="c.1\ud800", cause="tired"))


def test_a_plain_input_enters_unchanged():
    arrived = inp.CallArrived(call="c", leg="c.0", trunk="pbx", calling="+4989123456", calling_name="Jörg", called="601", channel_kbits=100)
    assert admit(arrived) == arrived
    assert Engine("demo").handle(admit(inp.ServiceStarted()), 0.0).events
