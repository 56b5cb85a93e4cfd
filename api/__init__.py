"""The HTTP side of the house: FastAPI, one slice a business word, no call state.

`__main__` (the command `fernamt`) · `commands/` (its subcommands) · `app` (composition root) · `config` (settings) · `db` (databases, units
of work) · `migrations/` · `errors` (problem documents) · `house` (what routes share) · `metrics` · `screen` (what is known of a caller) ·
`demo` · `tables` · `kit/` (no business words) · slices: `identity`, `tenants`, `telephony_setup`, `telephony`, `billing`, `crm`,
`tickets`, `calendar`, `assignments`, `audit`, `security` · `edge/` (what stands before the routes) · `keyring` · `docs_page` · `web/` (the
page).
"""
