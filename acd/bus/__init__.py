"""How messages travel between the parts of the house (DESIGN.md §2).

- `protocol`: requests and their replies, events, retained topics; what every bus promises
- `codec`: messages as octets, for a bus that leaves the process, and for the tests, which prove that all can travel
- `memory`: the bus of one process, by reference
"""

from acd.bus.codec import Codec
from acd.bus.memory import MemoryBus
from acd.bus.protocol import Bus, Publisher, Request, Subscription, Unanswered

__all__ = ["Bus", "Codec", "MemoryBus", "Publisher", "Request", "Subscription", "Unanswered"]
