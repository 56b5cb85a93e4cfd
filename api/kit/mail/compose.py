"""A mail as octets: RFC 5322, plain text in UTF-8. Pure: the same octets at each try, with the same Message-ID (RFC 5322 §3.6.4).

Headers are made by the standard library's policy, which refuses line ends; addresses and subjects are checked before, so that nothing of a
person's text becomes a header (CWE-93).
"""

from __future__ import annotations

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from acd.wire_text import fit

LONGEST_SUBJECT = 200
_ADDRESS = re.compile(
    r"(?=.{3,254}$)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
)
"""dot-atom and a host (RFC 5321 §4.1.2), 254 octets at most (RFC 5321 §4.5.3.1.3). Without quoted local parts, address literals and
SMTPUTF8: nobody has one, and every one of them is a way around somebody's check."""


class AddressWrong(ValueError):
    """It is no mail address that can be sent to."""


def address(text: str) -> str:
    """A checked address.

    Raises: AddressWrong
    """
    if not text.isascii() or not _ADDRESS.fullmatch(text) or ".." in text or len(text.partition("@")[0]) > 64:
        raise AddressWrong("this is no mail address; write one like `erika@example.org`")
    return text


def message_id(mail: str, sender: str) -> str:
    """Of a mail, for ever: whoever has it already knows it by this.

    Args:
        mail: its id, which nobody else has.
    """
    return f"<{mail}@{sender.rpartition('@')[2]}>"


def octets(sender: str, name: str, to: str, subject: str, text: str, identity: str, at: datetime) -> bytes:
    """The whole message with CRLF.

    Args:
        name: of the sender, shown beside the address.
        identity: Message-ID.
        at: when it was written.
    """
    message = EmailMessage(policy=SMTP)
    local, _, domain = sender.rpartition("@")
    message["From"] = Address(fit(name, 100), local, domain)
    message["To"] = Address("", *address(to).rsplit("@", 1))
    message["Subject"] = fit(" ".join(subject.split()), LONGEST_SUBJECT)
    message["Date"] = format_datetime(at)
    message["Message-ID"] = identity
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: no holiday answers
    message.set_content(text, cte="quoted-printable")
    return message.as_bytes()
