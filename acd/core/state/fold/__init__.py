"""The fold of the journal: `table` has the handler of every event, the modules beside it have the handlers, `kit` what they work with."""

from acd.core.state.fold.table import Fold

__all__ = ["Fold"]
