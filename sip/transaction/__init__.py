"""Transactions: RFC 3261 §17 as amended by RFC 6026. One machine a file, each a table that is also its diagram.

base                                        what the four share: host, timers, the firing of a table
invite_client non_invite_client             Figures 5 and 6
invite_server non_invite_server             Figures 7 and 8
key layer                                   matching; the dictionaries of live transactions
"""
