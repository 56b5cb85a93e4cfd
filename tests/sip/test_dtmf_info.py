"""Keys in INFO: what phones write, and what of it is a key."""

import pytest

from sip.dtmf_info import DURATION_MS, InfoKey, read, write
from sip.errors import ParseError


@pytest.mark.parametrize(
    ("body", "key", "duration_ms"),
    [
        (b"Signal=5\r\nDuration=160\r\n", "5", 160),
        (b"Signal=5\nDuration=250", "5", 250),
        (b"Signal = 5\r\nDuration = 100\r\n", "5", 100),
        (b"Signal= 5\r\nDuration= 100 \r\n", "5", 100),
        (b"signal=5\r\nduration=160", "5", 160),
        (b"Duration=160\r\nSignal=7\r\n", "7", 160),
        (b"Signal=5\r\n", "5", DURATION_MS),
        (b"Signal=5", "5", DURATION_MS),
        (b"\r\nSignal=5\r\n\r\n", "5", DURATION_MS),
        (b"Signal: 5\r\nDuration: 160\r\n", "5", 160),
        (b"Signal=10\r\nDuration=250\r\n", "*", 250),
        (b"Signal=11\r\nDuration=250\r\n", "#", 250),
        (b"Signal=*\r\nDuration=250\r\n", "*", 250),
        (b"Signal=#\r\nDuration=250\r\n", "#", 250),
        (b"Signal=A", "A", DURATION_MS),
        (b"Signal=d", "D", DURATION_MS),
        (b"Signal=12", "A", DURATION_MS),
        (b"Signal=15", "D", DURATION_MS),
        (b"Signal=0\r\nDuration=no\r\n", "0", DURATION_MS),
        (b"Signal=1\r\nDuration=0\r\n", "1", 40),
        (b"Signal=1\r\nDuration=999999\r\n", "1", 5000),
        (b"2", "2", DURATION_MS),
        (b"2\r\n", "2", DURATION_MS),
        (b" # ", "#", DURATION_MS),
        (b"11", "#", DURATION_MS),
        (b"2\r\nDuration=160\r\n", None, 0),
    ],
)
def test_key_of_a_body(body, key, duration_ms):
    if key is None:
        with pytest.raises(ParseError):
            read(body)
    else:
        assert read(body) == InfoKey(key, duration_ms)


@pytest.mark.parametrize(
    "body", [b"Signal=16", b"!", b"Signal=55", b"12345", b"Signal=", b"\xff\xfe", b"Signal=E", b"p=Digit-Collection\r\nd=5\r\n", b"  "]
)
def test_what_is_no_key_is_refused_and_not_repeated_in_the_reason(body):
    with pytest.raises(ParseError) as refused:
        read(body)
    assert "no key of a telephone" in str(refused.value)
    assert "5" not in str(refused.value)


@pytest.mark.parametrize("key", "0123456789*#ABCD")
def test_what_we_write_is_read_back(key):
    content_type, body = write(key, 160)
    assert content_type == "application/dtmf-relay"
    assert read(body) == InfoKey(key, 160)
