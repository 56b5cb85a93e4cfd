"""Passes of phones in pages: who knows the password of which login, and what is a login."""

import pytest

from acd.passes import Login, Passes, read_login
from acd.service import PhonePass

LOGIN = Login("anna", 1_790_000_000, "0123456789abcdef")
SECRET = b"s" * 32


def test_whoever_has_the_key_knows_the_password_in_this_run_and_the_next():
    assert Passes(SECRET).password(LOGIN, "anna@acme") == Passes(SECRET).password(LOGIN, "anna@acme")
    assert len(Passes(SECRET).password(LOGIN, "anna@acme")) == 32


@pytest.mark.parametrize(
    ("login", "aor", "secret"),
    [
        (LOGIN, "anna@other", SECRET),
        (LOGIN, "ben@acme", SECRET),
        (Login("anna", 1_790_000_001, LOGIN.nonce), "anna@acme", SECRET),
        (Login("anna", LOGIN.until, "0123456789abcdee"), "anna@acme", SECRET),
        (LOGIN, "anna@acme", b"t" * 32),
    ],
    ids=["tenant", "device", "time", "nonce", "secret"],
)
def test_another_login_another_password(login, aor, secret):
    assert Passes(secret).password(login, aor) != Passes(SECRET).password(LOGIN, "anna@acme")


def test_a_login_is_read_as_it_was_written():
    assert read_login(str(LOGIN)) == LOGIN
    assert read_login("a.b.1790000000.0123456789abcdef") == Login("a.b", 1_790_000_000, "0123456789abcdef")


@pytest.mark.parametrize(
    "text",
    [
        "anna",
        "",
        "anna.1790000000",
        "anna.1790000000.0123456789ABCDEF",
        ".1790000000.0123456789abcdef",
        "anna.0790000000.0123456789abcdef",
        "x" * 9000,
    ],
)
def test_anything_else_is_none(text):
    assert read_login(text) is None


def test_a_pass_is_written_down_without_its_password():
    told = repr(PhonePass(uri="sip:anna@acme", login=str(LOGIN), password="geheim", realm="house", expires_at=1))
    assert "anna.1790000000" in told
    assert "geheim" not in told
