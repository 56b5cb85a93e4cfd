"""STUN messages read and written octet by octet: the test vectors of RFC 5769, and aioice as the one who wrote or reads them."""

import contextlib
import hashlib
import hmac

import pytest
from aioice import stun as foreign
from hypothesis import given, settings
from hypothesis import strategies as st

from media.errors import ParseError
from media.transport import stun
from media.transport.stun import AttributeType, MessageClass

PASSWORD = "VOkJxbRl1RmTxUk/WvJxBt"
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")

# RFC 5769 §2.1
REQUEST = bytes.fromhex(
    "00010058 2112a442 b7e7a701bc34d686fa87dfae"
    "80220010 5354554e207465737420636c69656e74"
    "00240004 6e0001ff"
    "80290008 932ff9b151263b36"
    "00060009 6576746a3a68367659 202020"
    "00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004 e57a3bcf"
)
# §2.2
IPV4_RESPONSE = bytes.fromhex(
    "0101003c 2112a442 b7e7a701bc34d686fa87dfae"
    "8022000b 7465737420766563746f72 20"
    "00200008 0001a147e112a643"
    "00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004 c07d4c96"
)
# §2.3
IPV6_RESPONSE = bytes.fromhex(
    "01010048 2112a442 b7e7a701bc34d686fa87dfae"
    "8022000b 7465737420766563746f72 20"
    "00200014 0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014 a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004 c8fb0b4c"
)
# §2.4: long-term credentials, which nobody uses here; it is read like any other.
LONG_TERM_REQUEST = bytes.fromhex(
    "00010060 2112a442 78ad3433c6ad72c029da412e"
    "00060012 e3839ee38388e383aae38383e382afe382b9 0000"
    "0015001c 662f2f3439396b39353464364f4c33346f4c39465354767936347341"
    "0014000b 6578616d706c652e6f7267 00"
    "00080014 f67024656dd64a3e02b8e0712e85c9a28ca89666"
)


def test_the_sample_request_is_read_field_by_field():
    message = stun.parse(REQUEST)
    assert (message.method, message.message_class, message.transaction_id) == (stun.BINDING, MessageClass.REQUEST, TRANSACTION)
    assert message.attributes[:4] == (
        (AttributeType.SOFTWARE, b"STUN test client"),
        (AttributeType.PRIORITY, bytes.fromhex("6e0001ff")),
        (AttributeType.ICE_CONTROLLED, bytes.fromhex("932ff9b151263b36")),
        (AttributeType.USERNAME, b"evtj:h6vY"),
    )
    assert message.has_fingerprint
    assert message.is_signed_with(PASSWORD)
    assert not message.is_signed_with(PASSWORD + "x")


@pytest.mark.parametrize(
    ("vector", "address"),
    [(IPV4_RESPONSE, ("192.0.2.1", 32853)), (IPV6_RESPONSE, ("2001:db8:1234:5678:11:2233:4455:6677", 32853))],
)
def test_the_sample_responses_are_read_and_their_address_is_written_alike(vector, address):
    message = stun.parse(vector)
    assert message.message_class is MessageClass.SUCCESS
    assert message.is_signed_with(PASSWORD)
    assert message.has_fingerprint
    assert message.attribute(AttributeType.XOR_MAPPED_ADDRESS) == stun.xor_mapped_address(*address, TRANSACTION)


def test_what_is_written_is_the_vector_where_padding_is_zero():
    """The vectors pad with spaces, which any value may be (§14)."""
    spaces = IPV4_RESPONSE.replace(b"vector ", b"vector\0")
    attributes = stun.parse(IPV4_RESPONSE).attributes[:2]
    ours = stun.compose(MessageClass.SUCCESS, TRANSACTION, attributes, password=PASSWORD)
    assert ours[:-32] == spaces[:-32]
    assert stun.parse(ours).is_signed_with(PASSWORD)


def test_the_request_with_long_term_credentials_is_read():
    message = stun.parse(LONG_TERM_REQUEST)
    assert message.attribute(AttributeType.USERNAME).decode() == "マトリックス"
    assert not message.has_fingerprint
    assert not message.is_signed_with(PASSWORD)
    # Its octets are those that were published: the key is of name, realm and the password behind SASLprep (RFC 8489 §9.2.2).
    key = hashlib.md5("マトリックス:example.org:TheMatrIX".encode()).digest()
    integrity = message.attribute(AttributeType.MESSAGE_INTEGRITY)
    assert hmac.new(key, LONG_TERM_REQUEST[:-24], hashlib.sha1).digest() == integrity


@pytest.mark.parametrize("address", [("192.0.2.7", 1), ("2001:db8::9", 65535), ("203.0.113.255", 4000)])
def test_aioice_reads_what_we_write(address):
    mapped = (AttributeType.XOR_MAPPED_ADDRESS, stun.xor_mapped_address(*address, TRANSACTION))
    message = foreign.parse_message(stun.compose(MessageClass.SUCCESS, TRANSACTION, [mapped], password=PASSWORD))
    assert message.message_class == foreign.Class.RESPONSE
    assert message.attributes["XOR-MAPPED-ADDRESS"] == address
    assert message.check_message_integrity(PASSWORD.encode())
    error = (AttributeType.ERROR_CODE, stun.error_code(487, "Role Conflict"))
    assert foreign.parse_message(stun.compose(MessageClass.ERROR, TRANSACTION, [error])).error_code == 487


def test_we_read_what_aioice_writes():
    asked = foreign.Message(foreign.Method.BINDING, foreign.Class.REQUEST, TRANSACTION, {"USERNAME": "abcd:efgh", "USE-CANDIDATE": None})
    asked.add_message_integrity(PASSWORD.encode())
    message = stun.parse(bytes(asked))
    assert message.attribute(AttributeType.USE_CANDIDATE) == b""
    assert message.is_signed_with(PASSWORD)


def test_the_first_of_two_attributes_counts_and_nothing_behind_the_integrity_does():
    twice = [(AttributeType.USERNAME, b"first:x"), (AttributeType.USERNAME, b"second:x")]
    octets = stun.compose(MessageClass.REQUEST, TRANSACTION, twice, password=PASSWORD)
    assert stun.parse(octets).attribute(AttributeType.USERNAME) == b"first:x"
    # Somebody on the way put USE-CANDIDATE behind the integrity and made the fingerprint anew.
    unsigned = octets[:-8]
    integrity = stun.parse(octets).attributes[-1]
    injected = stun.compose(MessageClass.REQUEST, TRANSACTION, [*twice, integrity, (AttributeType.USE_CANDIDATE, b"")])
    assert injected[20 : len(unsigned)] == unsigned[20:]
    message = stun.parse(injected)
    assert message.is_signed_with(PASSWORD)
    assert message.attribute(AttributeType.USE_CANDIDATE) is None


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        REQUEST[:19],
        REQUEST[:-4],
        REQUEST + bytes(4),
        b"\x80" + REQUEST[1:],
        REQUEST[:4] + bytes(4) + REQUEST[8:],
        REQUEST[:-1] + b"\x00",
        REQUEST[:3] + b"\x59" + REQUEST[4:] + b"\x00",
        REQUEST[:22] + b"\xff\xff" + REQUEST[24:],
        # FINGERPRINT is the last attribute, or none.
        stun.compose(MessageClass.REQUEST, TRANSACTION, [(AttributeType.FINGERPRINT, bytes(4))]),
    ],
)
def test_what_does_not_fit_is_refused(wrong):
    with pytest.raises(ParseError):
        stun.parse(wrong)


def test_a_second_attribute_behind_a_right_fingerprint_is_refused():
    right = stun.compose(MessageClass.REQUEST, TRANSACTION, [])
    longer = right[:2] + (len(right) - 20 + 4).to_bytes(2, "big") + right[4:] + bytes.fromhex("80220000")
    with pytest.raises(ParseError):
        stun.parse(longer)


@given(st.binary(max_size=200))
@settings(max_examples=40, deadline=None)
def test_any_octets_give_a_message_or_a_parse_error(octets):
    for datagram in (octets, REQUEST[:8] + octets, REQUEST[:2] + len(octets).to_bytes(2, "big") + REQUEST[4:20] + octets):
        with contextlib.suppress(ParseError):
            stun.parse(datagram)


@given(st.lists(st.tuples(st.sampled_from([0x6, 0x24, 0x25, 0x8022, 0xC057, 0x7777]), st.binary(max_size=40)), max_size=6))
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read_back_equal(attributes):
    message = stun.parse(stun.compose(MessageClass.INDICATION, TRANSACTION, attributes, password="secret"))
    assert list(message.attributes[:-1]) == attributes
    assert message.is_signed_with("secret")
