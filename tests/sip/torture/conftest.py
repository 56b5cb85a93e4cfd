"""The published messages stand outside this repository; where they are not, the tests of theirs are not there either.

Nothing is lost by it: `test_own_messages.py` has a message of our own for every one of them.
"""

from tests.sip.torture.corpus import cases

collect_ignore = [f"test_{rfc}.py" for rfc in ("rfc4475", "rfc5118") if not cases(rfc)]
