"""Audit: who changed what, who came in or tried to, who read personal data; by tenant, and the operator's acts for the platform.

Rows are only ever added: no route changes one, and what is older than the settings say is taken out by `retention`. No secret is in it.

`rules` (ids, what is alike, secrets; pure) · `service` · `retention` · `repository` ·
`models` · `schemas` · `routes`. Other slices use what is named here.
"""

from api.audit.rules import Act, By, FailedLogIns, filter_of, source_of
from api.audit.service import is_recorded, record, record_failed_log_in, record_read, record_refusal

__all__ = [
    "Act",
    "By",
    "FailedLogIns",
    "filter_of",
    "is_recorded",
    "record",
    "record_failed_log_in",
    "record_read",
    "record_refusal",
    "source_of",
]
