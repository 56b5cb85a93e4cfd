"""The journal of one tenant: everything that was decided, in order, for ever (DESIGN.md §3).

- `framing`: octets of a file to records and back, and what is flawed in them (pure)
- `words`: the versions of the vocabulary; older entries are read through one step a version (pure)
- `reading`: a directory's files to entries, each in its place
- `writing`: group commit with fsync
- `by_call`: which entries speak of a call
- `care`: what `fernamt journal check | repair | export` do
"""

from acd.journal.by_call import CallIndex
from acd.journal.reading import Reading, Tail, Trouble, read, segments
from acd.journal.writing import Journal

__all__ = ["CallIndex", "Journal", "Reading", "Tail", "Trouble", "read", "segments"]
