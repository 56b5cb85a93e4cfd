"""What people and carriers write for a telephone number, read once for all (E.164; RFC 3966; the German numbering plan of BNetzA; pure).

A number has one form in the house: E.164 with `+`, or the short form of what has no area code (110, 116117, an internal 601). Whoever
takes one in asks here: the API, the CRM, SIP headers, the rating. What cannot be read for certain is unreadable, never guessed at.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import unquote

import phonenumbers
from msgspec import Struct

from billing_cdr.errors import NumberError

HOME: Final = "49"
LONGEST_TEXT: Final = 200
"""A pasted URI with its parameters; what is longer is no number."""
SHORT: Final = 6
"""Up to so many digits without a leading zero is an internal or service number and stays as dialled."""
MAX_DIGITS: Final = 15
"""E.164 §6.2.1."""
LONGEST_GERMAN: Final = 11
"""Digits behind +49 of a geographic number (BNetzA, Nummernplan Ortsnetzrufnummern; older ones are shorter)."""
_USUAL_GERMAN: Final = 7
_SATELLITES: Final = frozenset({"870", "881", "882", "883"})
_SHORTEST_SATELLITE: Final = 7
"""The library's lengths of satellite numbers are behind what operators hand out."""
_PLAIN_GERMAN: Final = re.compile(r"\+49(?:[235-9][0-9]{6,10}|4[0-8][0-9]{5,9}|1[567][0-9]{8,9})")
"""What carriers send most, and is right as it stands: the only step that spares the others."""

Format = Literal["auto", "plus", "e164", "00", "national"]
"""How a peer writes numbers: `+4989…`, `4989…`, `004989…`, `089…` (others' with 00); auto: read by what stands there, written with plus."""

_SHORT_CODE: Final = re.compile(r"110|112|115|116[0-9]{3}|118[0-9]{2,3}")
_SOS: Final = {"police": "110"}
"""urn:service:sos.* (RFC 5031 §4.2) of which Germany has a number of its own; all others are 112's."""

_SCHEME: Final = re.compile(r"(?:tel|sips?|callto):(?://)?", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"[^<>]*<([^<>]+)>[^<>]*")
# Between the parts of a number people write blanks, dashes, dots, slashes, brackets (RFC 3966 visual-separator, DIN 5008, E.123).
_SEPARATORS: Final = "-./()[]\u00b7\u2022\u2212\u2215\u2044"
# `,` and `p` pause, `;` and `w` wait, then digits are sent in the call (3GPP TS 27.007 `DS`, RFC 2806 post-dial).
_POST_DIAL: Final = re.compile(r"[,;pPwW][0-9*#,;pPwW ]*")
_BLANKS: Final = re.compile(r"\s+")
_LATER: Final = re.compile(r"(?<=[0-9)\] ])[,pPwW][0-9*#,;pPwW ]*$")
_DIRECT: Final = re.compile(r"(?:durchwahl|dw)[.:]?\s*(?:-\s*)?([0-9]{1,8})", re.IGNORECASE)
_EXTENSION: Final = re.compile(r"(?:extension|ext|apparat|app|nst|nebenstelle|x|#)[.:]?\s*([0-9]{1,8})", re.IGNORECASE)
_PARAMETER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*(?:=[^;]*)?")


class Reading(Struct, frozen=True, gc=False):
    """What was written. Twenty thousand are kept: none for the collector to walk."""

    number: str
    """E.164 with `+`, or as dialled where it is short."""
    extension: str | None = None
    """Of `ext. 12` and RFC 3966 `;ext=12`: dialled in the call, no part of the number. A German Durchwahl is part of it."""
    post_dial: str | None = None
    """Digits to be sent in the call, as written."""


def read(text: str, form: Format = "auto") -> Reading:
    """Read a number as somebody in Germany writes it: typed, pasted as a URI, or the user part of one.

    Args:
        form: what a peer is known to write; it decides only about digits with neither `+` nor 0 in front.
    Raises: NumberError: it is no number, or could be more than one.

    >>> read("+49 (0)30 / 555-101").number, read("tel:030555101;phone-context=+49").number, read("0112").number
    ('+4930555101', '+4930555101', '112')
    """
    if len(text) > LONGEST_TEXT:
        raise NumberError(f"{text[:40]!r}… is too long for a telephone number")
    return _read(text, form)


def number_of(text: str, form: Format = "auto") -> str:
    """The number alone.

    Raises: NumberError: as `read`.
    """
    return read(text, form).number


def write(number: str, form: Format) -> str:
    """A number of the house as a peer wants it; what is short is the same everywhere.

    >>> write("+4989123456", "national"), write("+41446681800", "national"), write("112", "e164")
    ('089123456', '0041446681800', '112')
    """
    if not number.startswith("+") or form in {"auto", "plus"}:
        return number
    digits = number[1:]
    if form == "national" and digits.startswith(HOME):
        return "0" + digits[len(HOME) :]
    return digits if form == "e164" else "00" + digits


def is_short_code(digits: str) -> bool:
    """Whether it is a German number that is dialled without an area code: 110, 112, 115, 116xxx, 118xx."""
    return _SHORT_CODE.fullmatch(digits) is not None


@lru_cache(maxsize=20_000)
def _read(text: str, form: Format) -> Reading:
    if _PLAIN_GERMAN.fullmatch(text):
        return Reading(text)
    plain = _plain(text)
    emergency = _emergency_urn(plain)
    if emergency is not None:
        return Reading(emergency)
    user = _user(plain, text)
    written, context, extension, post_dial = _without_additions(user)
    number = _in_context(written, context, text) if context is not None else _number(written, form, text)
    return Reading(number, extension, post_dial)


def _plain(text: str) -> str:
    """In ASCII where it is a digit, a sign or a dash in another script or width; without marks that nobody sees (bidi, joiners)."""
    found = []
    for character in text.strip():
        kind = unicodedata.category(character)
        if character.isascii():
            found.append(character)
        elif kind == "Nd":
            found.append(str(unicodedata.decimal(character)))
        elif "\uff01" <= character <= "\uff5e":  # the full-width forms of ASCII
            found.append(chr(ord(character) - 0xFEE0))
        elif kind == "Zs":
            found.append(" ")
        elif kind == "Pd":
            found.append("-")
        elif kind != "Cf":
            found.append(character)
    return "".join(found).strip()


def _emergency_urn(plain: str) -> str | None:
    lowered = plain.strip("<> ").lower()
    if lowered != "urn:service:sos" and not lowered.startswith("urn:service:sos."):
        return None
    return _SOS.get(lowered.removeprefix("urn:service:sos").removeprefix("."), "112")


def _user(plain: str, text: str) -> str:
    """What stands for the number: of an address or URI its user part, without escapes and password."""
    address = _ADDRESS.fullmatch(plain)
    inner = address[1].strip() if address is not None else plain
    scheme = _SCHEME.match(inner)
    if scheme is None and address is not None and ":" in inner:
        raise NumberError(f"{text!r} is the address of no telephone")
    if scheme is not None:
        inner = inner[scheme.end() :]
    if "@" in inner:
        inner = inner.rpartition("@")[0].partition(":")[0]
    elif scheme is not None and scheme[0].lower().startswith("sip"):
        raise NumberError(f"{text!r} names no user")
    elif scheme is not None:
        inner = inner.partition("?")[0]
    inner = unquote(inner) if "%" in inner else inner
    if any(character < " " and character != "\t" for character in inner):
        raise NumberError(f"{text!r} is more than one line")
    return inner


def _without_additions(user: str) -> tuple[str, str | None, str | None, str | None]:
    """Number, phone-context, extension, digits to be sent later."""
    context = extension = post_dial = None
    user = _BLANKS.sub(" ", user)  # one each: the patterns below would try every way to divide a row of them
    written, semicolon, rest = user.partition(";")
    if semicolon:
        for part in rest.split(";"):
            if not _PARAMETER.fullmatch(part.strip()) or _POST_DIAL.fullmatch(part.strip()):
                post_dial = f";{rest}"
                break
            name, _, value = part.strip().partition("=")
            if name.lower() == "phone-context":
                context = value
            elif name.lower() == "ext":
                extension = "".join(character for character in value if character.isdigit()) or None
    direct = re.search(rf"\s*[,/(]?\s*{_DIRECT.pattern}\s*\)?\s*$", written, re.IGNORECASE)
    if direct is not None:
        # DIN 5008: a trunk number ends in -0, in whose place the Durchwahl is dialled.
        written = re.sub(r"\s*-\s*0\s*$", "", written[: direct.start()]) + direct[1]
    else:
        beside = re.search(rf"\s*[,/(]?\s*{_EXTENSION.pattern}\s*\)?\s*$", written, re.IGNORECASE)
        if beside is not None and any(one.isdigit() for one in written[: beside.start()]):
            written, extension = written[: beside.start()], beside[1]
    later = _LATER.search(written)
    if later is not None:
        written, post_dial = written[: later.start()], later[0].strip()
    return written, context, extension, post_dial


def _in_context(written: str, context: str, text: str) -> str:
    """A local number and where it is one (RFC 3966 §5.1.5): below a prefix of the world's numbers, or in somebody's own network."""
    digits = _digits(written, text)
    prefix = context.strip().strip('"')
    if digits.startswith("+") or not prefix.startswith("+"):
        return _number(written, "auto", text)  # global whatever the context says; a domain's numbers are those we would dial
    below = _digits(prefix, text)[1:]
    if below.startswith(HOME) and (is_short_code(digits) or (digits.startswith("0") and is_short_code(digits[1:]))):
        return digits.removeprefix("0")
    if digits.startswith("00"):
        return _international(digits[2:], text, brackets=False)
    code = _country_code(below)
    if digits.startswith("0") and code is not None and _prefix_is_zero(code):
        return _international(code + digits[1:], text, brackets=False)
    return _international(below + digits, text, brackets=False)


def _number(written: str, form: Format, text: str) -> str:
    digits = _digits(written, text)
    if digits.startswith("+"):
        return _international(digits[1:], text, brackets=_has_bracketed_zero(written))
    if digits.startswith("00"):
        return _international(digits[2:], text, brackets=_has_bracketed_zero(written))
    if digits.startswith("0"):
        return _german(digits[1:], text)
    if len(digits) <= SHORT:
        return digits
    return _bare(digits, form, text)


def _bare(digits: str, form: Format, text: str) -> str:
    """Digits that say neither country nor area: E.164 where they are that of a number that exists, which others dare not be."""
    if form == "national":
        return _international(HOME + digits, text, brackets=False)
    if form == "e164":
        return _international(digits, text, brackets=False)
    if digits.startswith(HOME):
        number = _international(digits, text, brackets=False)
        if not number.startswith("+") or phonenumbers.is_valid_number(phonenumbers.parse(number)):
            return number
    raise NumberError(f"{text!r} names neither country nor area")


def _digits(written: str, text: str) -> str:
    if re.search(r"/\s*-", written):
        raise NumberError(f"{text!r} is more than one number")
    dialled = "".join(character for character in written if character not in _SEPARATORS and character not in " \t")
    digits = dialled.removeprefix("+")
    if not digits or not digits.isascii() or not digits.isdigit():
        raise NumberError(f"{text!r} is not a telephone number")
    return dialled


def _has_bracketed_zero(written: str) -> bool:
    return re.search(r"[(\[]\s*0\s*[)\]]", written) is not None


def _country_code(digits: str) -> str | None:
    return next((digits[:length] for length in (1, 2, 3) if int(digits[:length] or 0) in phonenumbers.COUNTRY_CODE_TO_REGION_CODE), None)


@lru_cache(maxsize=512)
def _prefix_is_zero(code: str) -> bool:
    """Whether one dials a 0 before the area inside that country, so that none of its numbers begins with 0."""
    region = phonenumbers.region_code_for_country_code(int(code))
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region, None)
    return metadata is not None and metadata.national_prefix == "0"


def _international(digits: str, text: str, *, brackets: bool) -> str:
    """Digits that begin with a country code.

    Args:
        brackets: `(0)` was written; it is dialled inside the country and only there.
    """
    code = _country_code(digits)
    if code is None:
        raise NumberError(f"{text!r} has no country's code")
    national = digits[len(code) :]
    if brackets and national.startswith("0") and not _may_begin_with_zero(code):
        national = national[1:]
    if national.startswith("0") and _prefix_is_zero(code) and not (code == HOME and is_short_code(national[1:])):
        raise NumberError(f"{text!r} has a 0 between country and area: write it without, or in brackets")
    if code == HOME:
        return _german(national, text)
    number = f"+{code}{national}"
    if len(number) > MAX_DIGITS + 1 or not ((code in _SATELLITES and len(national) >= _SHORTEST_SATELLITE) or _is_possible(number)):
        raise NumberError(f"{text!r} has a length no number of country code {code} has")
    return number


def _may_begin_with_zero(code: str) -> bool:
    """Italy and whoever kept the 0 as a part of the number."""
    region = phonenumbers.region_code_for_country_code(int(code))
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.FIXED_LINE)
    return example is not None and bool(example.italian_leading_zero)


def _german(national: str, text: str) -> str:
    if is_short_code(national.removeprefix("0")):
        return national.removeprefix("0")  # no area begins with 011: these are the short ones, and some of them are cries for help
    number = f"+{HOME}{national}"
    if not national or national[0] == "0":
        raise NumberError(f"{text!r} has a 0 where the area begins")
    # Between these lengths the library, which costs more than all else here, would say yes.
    if not _USUAL_GERMAN <= len(national) <= LONGEST_GERMAN and (len(number) > MAX_DIGITS + 1 or not _is_possible(number)):
        raise NumberError(f"{text!r} has a length no German number has")
    if says_the_country_twice(number):
        raise NumberError(f"{text!r} has the country code twice")
    return number


def says_the_country_twice(number: str) -> bool:
    """Whether it is a German mobile number with another 49 in front, and too long to be one of an area that begins with 49.

    >>> says_the_country_twice("+49491711234567"), says_the_country_twice("+4949171123")
    (True, False)
    """
    national = number.removeprefix(f"+{HOME}")
    return len(national) > LONGEST_GERMAN and re.fullmatch(r"49(?:15[0-9]{9}|1[67][0-9]{8,9})", national) is not None


def _is_possible(number: str) -> bool:
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return False
    # "Possible" to others includes what can only be dialled locally.
    if phonenumbers.is_possible_number_with_reason(parsed) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return False
    # The library reads a national prefix out of digits where one could stand; then the text was no E.164 number.
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)) == number
