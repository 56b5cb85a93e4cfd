"""Route, Record-Route, Path and Service-Route: the route set (RFC 3261 §20.30, §20.34, §12.2.1.1; RFC 3327; RFC 3608)."""

from __future__ import annotations

from sip.errors import ParseError
from sip.grammar import split_list
from sip.headers.name_addr import NameAddr, parse_name_addr

# Route        =  "Route" HCOLON route-param *(COMMA route-param)
# route-param  =  name-addr *( SEMI rr-param )


def parse_routes(text: str, header: str) -> tuple[NameAddr, ...]:
    """The elements of one field of these headers, top first.

    Raises: ParseError: an entry that is no name-addr; here the brackets are not optional.
    """
    where = f"header {header}"
    routes = []
    for element in split_list(text, where):
        if "<" not in element:
            raise ParseError(f"a route needs < >: {element[:60]!r}", where=where)
        routes.append(parse_name_addr(element, where))
    return tuple(routes)
