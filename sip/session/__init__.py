"""The INVITE session: one machine for caller and callee, cut by who does what (pure; RFC 3261 §9, §12.1, §13, §15).

machine   states, inputs, actions, the table, and the object that fires
caller    what a UAC does        callee   what a UAS does
within    BYE, INFO, NOTIFY, re-INVITE in the dialog, and which way they go
refresh   session timers (RFC 4028)
reinvite  the machine of a change (RFC 3261 §14)
session   `Session`: all of it, as transactions and timers see it
"""

from sip.session.machine import SDP_TYPE, Fields, Input, State
from sip.session.session import Session

__all__ = ["SDP_TYPE", "Fields", "Input", "Session", "State"]
