"""Matching messages to transactions: RFC 3261 §17.1.3 (client) and §17.2.3 (server), with the RFC 2543 fallback.

A key is a plain tuple, so that the look-up costs one hash.
"""

from typing import Any

from sip.headers.via import is_rfc3261_branch
from sip.message import Request, Response

Key = tuple[Any, ...]


def client_key(branch: str, method: str) -> Key:
    """§17.1.3: "the same value of the branch parameter [...] and the method parameter in the CSeq"."""
    return (branch, method)


def own_branch(request: Request) -> str:
    """The branch of a request of ours. Our own Vias end with it (`sip.user_agent`); any other is read."""
    name, via = request.headers.fields[0]
    branch = via.rpartition(";branch=")[2]
    return branch if name == "Via" and branch.isalnum() else request.top_via.branch or ""


def response_key(response: Response) -> Key:
    """The client transaction a response belongs to."""
    return (response.top_via.branch, response.cseq.method)


def server_key(request: Request, method: str | None = None) -> Key:
    """The server transaction a request belongs to.

    Args:
        method: look for the transaction of another method: INVITE for a CANCEL.
    """
    if method is None:
        # Asked for twice with every request (to match, then to enter), so it is kept with the header fields it is made of.
        read = request.headers.values_read
        key: Key | None = read.get("server key")
        if key is None:
            key = read["server key"] = _server_key(request, request.method)
        return key
    return _server_key(request, method)


def _server_key(request: Request, wanted: str) -> Key:
    via = request.top_via
    if wanted == "ACK":
        wanted = "INVITE"
    branch = via.branch
    if is_rfc3261_branch(branch):
        return (branch, via.sent_by, wanted)
    # §17.2.3, RFC 2543 clients. "the To tag of the ACK" is that of our response, unknown to the INVITE: left out for INVITE and ACK,
    # where the Request-URI, From tag, Call-ID, CSeq number and top Via must agree.
    to_tag = None if wanted == "INVITE" else request.to.tag
    return (str(request.uri), to_tag, request.from_.tag, request.call_id, request.cseq.number, via.sent_by, branch, wanted)


def merge_key(request: Request) -> Key:
    """§8.2.2.2: the From tag, Call-ID and CSeq that a merged request shares with one being served."""
    return (request.from_.tag, request.call_id, request.cseq.number, request.method)
