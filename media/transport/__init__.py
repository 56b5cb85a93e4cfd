"""Between a leg and the network: `base` (what a transport is), `udp` (plain RTP: the sockets themselves), `protected` (SRTP's place),
`keys` and `public_srtp` (what it is keyed with, what does it); for browsers `stun`, `ice` (where the peer is), `dtls` (who it is)
and `ice_dtls` (all of them over one socket).
"""
