"""What waiting, reached, withdrawn and taken mean for the contacts of each channel; queues know no more of a channel than this.

Who adds a channel that behaves like none of these adds a module and its row here, and the channel's row in `acd.core.channel_kinds`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from acd.core.channel_kinds import CHANNELS
from acd.core.channels.callback import Callback
from acd.core.channels.message import Message
from acd.core.channels.voice import Voice
from acd.core.steps.step import Channel

BEHAVIOURS: Final[Mapping[str, Channel]] = {"voice": Voice(), "callback": Callback(), "message": Message()}

BY_NAME: Final[Mapping[str, Channel]] = {name: BEHAVIOURS[kind.behaviour] for name, kind in CHANNELS.items()}
"""Channel -> how it behaves."""
