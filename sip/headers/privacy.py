"""Privacy: what a caller wants to be shown to nobody (RFC 3323 §4.2, RFC 3325 §9.3)."""

from __future__ import annotations

# Privacy-hdr  =  "Privacy" HCOLON priv-value *(";" priv-value)
# priv-value   =  "header" / "session" / "user" / "none" / "critical" / token
# Deviation: commas separate too, as some gateways write them; a wish to be nobody is not lost to a separator.


def parse_privacy(text: str) -> list[str]:
    """The wishes in one field, in lower case; what is no wish is none."""
    return [wish for one in text.replace(",", ";").split(";") if (wish := one.strip(" \t").lower())]
