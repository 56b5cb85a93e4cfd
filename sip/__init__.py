"""A SIP user agent that knows nothing of call centres: a pure engine, and a thin asyncio shell around it.

Messages (pure)
    grammar uri headers/ message parser status errors     RFC 3261 §7, §19, §20, §25
    sdp/                                                  RFC 8866, RFC 3264, keys of SRTP: RFC 4568
Transactions (pure)
    machine timers flow source                            tables and their binding; one heap of deadlines; five-tuples; what is one place
    transaction/                                          RFC 3261 §17 with RFC 6026, a table a machine
User agent (pure)
    dialog session/ session_timer                         RFC 3261 §12; §13-§15 cut by who does what, with §14; RFC 4028
    kept                                                  a session written down, and taken up again after a restart to be ended
    living                                                the same to live on
    usage/                                                what is done with the requests of a method; the table that Allow is made from
    digest guard registrar registration                   RFC 7616; who may guess; §10 both sides
    domain_identity                                       whose a certificate is (RFC 5922)
    classified overload share fair_rate fair_places       who sends an INVITE; admission; whose it is; a rate, and places, fairly shared
    strangers                                             connections of those who have not said who they are
    events config core commands user_agent                what is reported, told, held, asked; the five methods
Shell
    io/ trace                                             sockets, the driver, the message log

Start at `sip.user_agent.UserAgent` (what it can) and `sip.io.driver.SipEndpoint` (how it is run).
"""
