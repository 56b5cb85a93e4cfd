"""Typed header values, one file a header or family (RFC 3261 §20): a frozen value, a `parse_...` that raises ParseError, a `str()` back.

names            registered spellings and compact forms         fields          the multimap all headers of a message stand in
accessor         how a row of `sip.message` gives a header       name_addr       From, To, Contact, Route ... as NameAddr
contact          lists, star, expires, q; Expires, Min-Expires  via             Via (rport: RFC 3581)
cseq             CSeq                                           route           Route, Record-Route, Path, Service-Route
auth             challenges and credentials (RFC 7616)          media_type      Content-Type, Accept
tokens           Require, Supported, Allow                      event           Event (RFC 6665)
refer            Refer-To, Refer-Sub (RFC 3515, RFC 4488)       identity        P-Asserted-Identity, P-Called-Party-ID, Remote-Party-ID
privacy          Privacy (RFC 3323)                             session_expires Session-Expires, Min-SE (RFC 4028)
reason           Reason (RFC 3326)                              retry_after     Retry-After
warning          Warning, as we write it
"""
