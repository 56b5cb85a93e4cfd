"""CRM: contacts, found by the number they call from. Minimal; it grows.

`service` · `repository` · `models` · `schemas` · `errors` · `routes` · `known`.
"""

from api.crm.known import is_known, known_lines
from api.crm.schemas import ContactGiven, ContactTold
from api.crm.service import by_line, by_number, create, get

__all__ = ["ContactGiven", "ContactTold", "by_line", "by_number", "create", "get", "is_known", "known_lines"]
