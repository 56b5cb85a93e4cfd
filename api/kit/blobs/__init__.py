"""Files of a tenant outside of its database, encrypted, each under a key of its own that stands sealed in its row (ADR 0022).

`container` (octets of a file; pure) · `models` · `store` (all SQL) · `files` (the shell). Slices write, keep, open and delete by `Blobs`.
"""

from api.kit.blobs.container import Damaged
from api.kit.blobs.files import BlobMissing, Blobs, Opened, TooLarge, Written
from api.kit.blobs.models import BlobRow

__all__ = ["BlobMissing", "BlobRow", "Blobs", "Damaged", "Opened", "TooLarge", "Written"]
