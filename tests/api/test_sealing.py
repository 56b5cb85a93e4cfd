"""Sealed values: what is sealed opens in its place under its key, and nowhere else."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from api.kit.sealing import (
    KEY_OCTETS,
    NONCE_OCTETS,
    Key,
    KeyMissing,
    Keys,
    KeysWrong,
    Place,
    SealBroken,
    is_sealed,
    keys_of,
    needs_resealing,
    seal,
    sealed_under,
    unseal,
)

OLD, NEW = Key(bytes(range(KEY_OCTETS))), Key(bytes(range(1, KEY_OCTETS + 1)))
NONCE = b"twelve octet"
HERE = Place("acme", "setup_device", "anna", "ha1_md5")
ONLY_OLD, BOTH = Keys((OLD,), "old.key"), Keys((NEW, OLD), "both.key")


@given(secret=st.text(), nonce=st.binary(min_size=NONCE_OCTETS, max_size=NONCE_OCTETS))
def test_what_was_sealed_opens_in_its_place(secret: str, nonce: bytes) -> None:
    kept = seal(secret, HERE, OLD, nonce)
    assert is_sealed(kept)
    assert sealed_under(kept) == OLD.id
    assert unseal(kept, HERE, ONLY_OLD) == secret
    assert kept.isascii()


def test_the_form_is_aes_256_gcm_with_the_place_as_associated_data() -> None:
    """What is stored today must open for ever: computed here by hand."""
    kept = seal("geheim", HERE, OLD, NONCE)
    assert kept.startswith(f"sealed:1:{OLD.id}:")
    octets = base64.urlsafe_b64decode(kept.rpartition(":")[2])
    place = b'["fernamt", "1", "acme", "setup_device", "anna", "ha1_md5"]'
    assert AESGCM(OLD.octets).decrypt(octets[:12], octets[12:], place) == b"geheim"
    assert OLD.id == "4cd2be05"


@pytest.mark.parametrize("moved", [{"tenant": "other"}, {"table": "setup_trunk"}, {"row": "ben"}, {"column": "ha1_sha256"}])
def test_a_value_that_was_moved_does_not_open(moved: dict[str, str]) -> None:
    with pytest.raises(SealBroken, match=next(iter(moved.values()))):
        unseal(seal("geheim", HERE, OLD, NONCE), HERE._replace(**moved), ONLY_OLD)


def test_two_places_are_never_the_same_octets() -> None:
    assert Place("a", "b", "c,d", "e").octets != Place("a", "b,c", "d", "e").octets
    assert Place('a", "b', "c", "d", "e").octets != Place("a", "b", "c", "d").octets


@given(data=st.data())
def test_a_changed_value_does_not_open_and_tells_nothing(data: st.DataObject) -> None:
    kept = seal("geheim", HERE, OLD, NONCE)
    start = len(f"sealed:1:{OLD.id}:")
    octets = bytearray(base64.urlsafe_b64decode(kept[start:]))
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken) as told:
        unseal(kept[:start] + base64.urlsafe_b64encode(bytes(octets)).decode(), HERE, ONLY_OLD)
    assert kept[start:] not in str(told.value)


@given(rest=st.text(max_size=200))
def test_whatever_stands_there_opens_or_is_refused(rest: str) -> None:
    for kept in (rest, f"sealed:1:{OLD.id}:{rest}"):
        with pytest.raises(SealBroken):
            unseal(kept, HERE, ONLY_OLD)


def test_a_value_under_a_key_we_do_not_have_names_key_and_file_and_what_to_do() -> None:
    with pytest.raises(KeyMissing, match=f"anna.* tenant acme is sealed under key {NEW.id}, which is not in old.key: put that key back"):
        unseal(seal("geheim", HERE, NEW, NONCE), HERE, ONLY_OLD)


def test_the_first_key_seals_and_the_others_open() -> None:
    assert BOTH.first == NEW
    old, new = seal("x", HERE, OLD, NONCE), seal("x", HERE, NEW, NONCE)
    assert unseal(old, HERE, BOTH) == unseal(new, HERE, BOTH) == "x"
    assert [needs_resealing(kept, BOTH) for kept in ("in clear", old, new)] == [True, True, False]


def test_keys_stand_one_a_line() -> None:
    keys = keys_of(f"# of 2026\n\n{NEW.line}\n  {OLD.line}  \n", "a file")
    assert keys.every == (NEW, OLD)
    assert keys.source == "a file"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no key in it"),
        ("# only words\n", "there is no key in it"),
        (f"{OLD.line}\nc2hvcnQ=\n", "a file:2: a key is 32 random octets"),
        (f"{OLD.line} {OLD.line}", "a file:1: a key is"),
        ("not base64 at all!", "a file:1: a key is"),
    ],
)
def test_what_is_no_key_is_named_by_its_line_and_not_repeated(text: str, said: str) -> None:
    with pytest.raises(KeysWrong, match=said) as told:
        keys_of(text, "a file")
    assert not any(line in str(told.value) for line in text.split() if len(line) > 7)


def test_keys_do_not_tell_themselves() -> None:
    for told in (repr(OLD), repr(BOTH)):
        assert OLD.line not in told
        assert str(OLD.octets) not in told
