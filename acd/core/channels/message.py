"""Messages: somebody has written, and is answered in writing by the agent who takes it at the desk.

Waiting: it stands in line, in and out of hours, and is offered to whoever is ready. Reached: it is on the agent's screen. Withdrawn: it is
not there any more. Taken: the agent works at it, beside others as far as its capacity goes, until it says that it is done
(`CloseContact`).
"""

from __future__ import annotations

from acd.core.channels.desk_only import DeskOnly


class Message(DeskOnly):
    """Text, chat, mail."""
