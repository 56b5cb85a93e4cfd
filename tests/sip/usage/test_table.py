"""The table of usages: what a user agent says of itself and whom it hands a request to follow from it alone."""

import msgspec
import pytest

from sip.config import UserAgentConfig
from sip.errors import LocalMisuse
from sip.usage.table import USAGES, Usages
from sip.usage.talk import TalkUsage
from sip.usage.usage import Usage
from sip.user_agent import UserAgent
from tests.sip.user_agent.network import OPEN
from tests.sip.user_agent.test_uas import accepted, answer, request


class PeelUsage(Usage):
    """A method nobody has heard of, and an event package beside it."""

    METHODS = ("PEEL",)
    PACKAGES = ("fruit",)
    ACCEPTS = ("text/peel",)

    def __init__(self, agent):
        super().__init__(agent)
        self.outside = {"PEEL": lambda transaction, now: agent.answer(transaction, 202, now)}
        self.within = {"PEEL": lambda _session, _dialog, transaction, now: agent.answer(transaction, 200, now)}
        self.notified = {"fruit": lambda _session, _dialog, transaction, now: agent.answer(transaction, 204, now)}
        self.option_tags = ("peeling",)


def agent_with(*usages, config=OPEN):
    serial = iter(range(10**6))
    return UserAgent(msgspec.structs.replace(config, usages=usages), lambda: f"token{next(serial):06d}")


@pytest.fixture
def plain():
    return agent_with(*USAGES)


@pytest.fixture
def peeling():
    return agent_with(*USAGES, PeelUsage)


def said(agent):
    """Allow, Allow-Events, Accept, Supported of an answer to OPTIONS."""
    headers = answer(agent, request("OPTIONS", "options")).headers
    return tuple(headers.get(name) for name in ("Allow", "Allow-Events", "Accept", "Supported"))


def test_what_we_say_of_ourselves_is_the_table_in_its_order(plain):
    assert said(plain) == (
        "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, REGISTER, REFER",
        "refer",
        "application/sdp, multipart/mixed",
        "norefersub, timer",
    )


def test_a_new_method_is_said_served_and_named_by_405_with_no_other_line_touched(peeling):
    allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, REGISTER, REFER, PEEL"
    accept = "application/sdp, multipart/mixed, text/peel"
    assert said(peeling) == (allow, "refer, fruit", accept, "norefersub, peeling, timer")
    assert answer(peeling, request("PEEL", "p1")).status == 202
    assert answer(peeling, request("PEEL", "p2", Require="peeling")).status == 202
    _, to = accepted(peeling)
    assert answer(peeling, request("PEEL", "p3", to=to, cseq=2)).status == 200
    refused = answer(peeling, request("UPDATE", "u", to=to, cseq=3))
    assert (refused.status, refused.headers.get("Allow")) == (405, allow)


def test_a_method_without_a_row_is_501_and_its_option_tag_420(plain):
    assert answer(plain, request("PEEL", "p1")).status == 501
    refused = answer(plain, request("OPTIONS", "p2", Require="peeling, timer"))
    assert (refused.status, refused.headers.get("Unsupported")) == (420, "peeling")


def test_a_session_timer_that_is_off_is_not_said():
    assert said(agent_with(*USAGES, config=UserAgentConfig(session_timer=None)))[3] == "norefersub"


def test_a_notify_goes_to_the_usage_of_its_package_and_any_other_is_489(peeling):
    _, to = accepted(peeling)
    assert answer(peeling, request("NOTIFY", "n1", to=to, cseq=2, Event="Fruit;id=1")).status == 204
    for branch, event in (("n2", {"Event": "presence"}), ("n3", {})):
        refused = answer(peeling, request("NOTIFY", branch, to=to, cseq=3, **event))
        assert (refused.status, refused.headers.get("Allow-Events")) == (489, "refer, fruit")


def test_a_method_that_stands_in_the_table_is_answered_where_nobody_takes_it(plain):
    class Half(Usage):
        METHODS = ("PEEL",)

    assert answer(agent_with(*USAGES, Half), request("PEEL", "p1")).status == 481
    half = agent_with(*USAGES, Half)
    _, to = accepted(half)
    assert answer(half, request("PEEL", "p2", to=to, cseq=2)).status == 405
    _, to = accepted(plain)
    assert answer(plain, request("REGISTER", "r", to=to, cseq=2)).status == 405


def test_a_table_without_packages_says_none():
    bare = agent_with(*(usage for usage in USAGES if not usage.PACKAGES))
    assert "Allow-Events" not in answer(bare, request("OPTIONS", "options")).headers
    _, to = accepted(bare)
    refused = answer(bare, request("NOTIFY", "n", to=to, cseq=2, Event="refer"))
    assert (refused.status, "Allow-Events" in refused.headers) == (489, False)


def test_two_usages_do_not_serve_the_same(plain):
    class Again(Usage):
        def __init__(self, agent):
            super().__init__(agent)
            self.within = {"BYE": lambda *_: None}

    with pytest.raises(LocalMisuse, match="BYE"):
        agent_with(*USAGES, Again)
    with pytest.raises(LocalMisuse, match="PeelUsage"):
        plain.usages.of(PeelUsage)
    assert isinstance(Usages(plain, (TalkUsage,)).of(TalkUsage), TalkUsage)
