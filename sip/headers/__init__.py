"""Typed header values, one file a header or family (RFC 3261 §20): a frozen value, a `parse_...` that raises ParseError, a `str()` back.

names            registered spellings and compact forms         fields          the multimap all headers of a message stand in
name_addr        From, To, Contact, Route ... as NameAddr       contact         lists, star, expires, q
via              Via (rport: RFC 3581)                          cseq            CSeq
route            Route, Record-Route, Path, Service-Route       auth            challenges and credentials (RFC 7616)
media_type       Content-Type, Accept                           event           Event, Subscription-State (RFC 6665)
session_expires  Session-Expires, Min-SE (RFC 4028)             replaces        Replaces (RFC 3891)
rack             RSeq, RAck (RFC 3262)                          reason          Reason (RFC 3326)
retry_after      Retry-After                                    warning         Warning
"""
