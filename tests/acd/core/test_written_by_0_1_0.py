"""Octets as 0.1.0 wrote them are read for ever."""

from acd.core import events as ev
from acd.core import inputs as inp
from acd.core.replay import Entry, decode, encode

QUOTE = """
86
  a6 6e756d626572                 a7 34393330393939             # number: 4930999
  aa 7065725f6d696e757465         a4 302e3032                   # per_minute: 0.02
  a5 62616e6473                   91 82                         # bands: a list of one row
    a4 62616e64                   a6 616c77617973               #   band: always
    aa 7065725f6d696e757465       a4 302e3032                   #   per_minute: 0.02
  a7 667265655f6d73               00                            # free_ms: 0
  a3 636170                       c0                            # cap: nil
  ac 7661745f696e636c75646564     c2                            # vat_included: false
"""
DIALLED = f"""
94                                                              # an entry: a list of four
  07                                                            # seq 7
  cb 41da13b860200000                                           # now 1750000000.5
  85
    a4 74797065                   a4 4469616c                   # type: Dial
    a5 6167656e74                 a4 616e6e61                   # agent: anna
    a4 63616c6c                   a2 6331                       # call: c1
    a6 6e756d626572               a8 2b34393330393939           # number: +4930999
    a5 71756f7465                 {QUOTE}
  91 8c                                                         # events: a list of one
    a4 74797065                   ab 43616c6c4f666665726564     # type: CallOffered
    a4 63616c6c                   a2 6331                       # call: c1
    a9 646972656374696f6e         a8 6f7574626f756e64           # direction: outbound
    a7 63616c6c696e67             a2 3131                       # calling: 11
    ac 63616c6c696e675f6e616d65   a4 416e6e61                   # calling_name: Anna
    a6 63616c6c6564               a8 2b34393330393939           # called: +4930999
    a5 7472756e6b                 c0                            # trunk: nil
    a5 6167656e74                 a4 616e6e61                   # agent: anna
    a6 6e756d626572               c0                            # number: nil
    a7 636f756e747279             c0                            # country: nil
    a8 6c616e6775616765           a2 6465                       # language: de
    a5 71756f7465                 {QUOTE}
"""
"""A click-to-dial to a number outside, after the MessagePack specification (fixmap, fixarray, fixstr, float 64)."""


def octets(told: str) -> bytes:
    return bytes.fromhex("".join(line.partition("#")[0] for line in told.splitlines()))


def test_the_price_told_before_a_click_to_dial_is_read() -> None:
    """0.1.0 declared `CallOffered.quote` as text by text, wrote lists, numbers and truths into it, and could not open its own journal."""
    quote = {
        "number": "4930999",
        "per_minute": "0.02",
        "bands": [{"band": "always", "per_minute": "0.02"}],
        "free_ms": 0,
        "cap": None,
        "vat_included": False,
    }
    offered = ev.CallOffered(
        call="c1",
        direction="outbound",
        calling="11",
        calling_name="Anna",
        called="+4930999",
        trunk=None,
        agent="anna",
        number=None,
        country=None,
        language="de",
        quote=quote,
    )
    entry = decode(octets(DIALLED))
    assert entry == Entry(7, 1_750_000_000.5, inp.Dial(agent="anna", call="c1", number="+4930999", quote=quote), (offered,))
    assert encode(entry) == octets(DIALLED)
