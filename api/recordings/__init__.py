"""Recordings: who may list, hear and delete them; every access in the audit (§ 201 StGB, Art. 5 GDPR).

`rules` (ranges and preconditions of RFC 9110, cursors; pure) · `files` (the tenant's folder) · `service` · `retention` · `schemas` ·
`errors` · `routes`. The list itself is `billing_cdr.recordings`: a recording belongs to the record of its conversation.
"""
