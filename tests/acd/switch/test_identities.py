"""Who calls, and whether it may be told, from the headers alone."""

import pytest

from acd.switch.identities import Caller, is_anonymous, number_in, who_calls
from sip.message import Request
from sip.uri import Uri
from tests.spellings import SPELLINGS

NUMBER = "+491711234567"


def invite(*headers: tuple[str, str], from_: str = f"<sip:{NUMBER}@c.example>") -> Request:
    return Request.build("INVITE", Uri("sip", "1", "192.0.2.1"), [("From", f"{from_};tag=1"), ("To", "<sip:1@192.0.2.1>"), *headers])


@pytest.mark.parametrize(("written", "number"), [one for one in SPELLINGS if one[1] and one[0].isascii() and "@" not in one[0]])
def test_the_user_part_of_a_uri_is_read_as_the_corpus_says(written, number):
    assert number_in(Uri("sip", written.strip(), "c.example")) == number


@pytest.mark.parametrize(
    ("written", "number"), [one for one in SPELLINGS if one[1] and one[0].lower().startswith(("tel:+", "tel:1", "urn:"))]
)
def test_a_uri_that_is_a_number_is_read_whole(written, number):
    assert number_in(Uri.parse(written)) == number


def test_a_phone_is_believed_in_nothing_but_from():
    request = invite(("P-Asserted-Identity", "<sip:+4930999@c.example>"), ("Remote-Party-ID", "<sip:+4930998@c.example>"))
    assert who_calls(request, is_trusted=False) == Caller(NUMBER, None)
    assert who_calls(request) == Caller("+4930999", None)


def test_an_account_in_all_headers_is_shown_as_it_is():
    assert who_calls(invite(from_='"Max" <sip:acct77@c.example>')) == Caller("acct77", "Max")


@pytest.mark.parametrize("user", ["unknown", "unavailable", "restricted", "Anonymous"])
def test_words_for_no_number_are_none_and_nothing_is_kept_of_them(user):
    assert who_calls(invite(from_=f"<sip:{user}@c.example>")) == Caller(None, None)


@pytest.mark.parametrize("privacy", ["id", "user", "header", "critical;id", "ID ; critical", "id, critical", "user;id"])
def test_privacy_withholds_number_and_name(privacy):
    request = invite(("Privacy", privacy), from_=f'"Max" <sip:{NUMBER}@c.example>')
    assert is_anonymous(request)
    assert who_calls(request) == Caller(None, None, NUMBER)


@pytest.mark.parametrize("privacy", ["none", "history", "session", "critical", "identity"])
def test_other_values_of_privacy_hide_nobody(privacy):
    assert who_calls(invite(("Privacy", privacy))) == Caller(NUMBER, None)


@pytest.mark.parametrize("privacy", ["full", '"full"', "full-network", "uri"])
def test_remote_party_id_withholds_too(privacy):
    request = invite(("Remote-Party-ID", f'"Max" <sip:{NUMBER}@c.example>;privacy={privacy}'), from_="<sip:acct@c.example>")
    assert who_calls(request) == Caller(None, None, NUMBER)


def test_what_a_phone_writes_of_itself_as_remote_party_hides_nobody():
    assert who_calls(invite(("Remote-Party-ID", "<sip:1@c.example>;privacy=full")), is_trusted=False) == Caller(NUMBER, None)
