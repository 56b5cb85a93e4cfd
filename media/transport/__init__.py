"""Between a leg and the network: `base` (what a transport is), `udp` (plain RTP: the sockets themselves), `protected` (over another one, by
a `Protection`), `srtp` (which is libsrtp's), `keys` (what it is told); for browsers `stun`, `ice` (where the peer is), `dtls` (who it is)
and `ice_dtls` (all of them over the RTP port); for phones that shake hands without ICE
`handshakes` and `dtls_srtp`.
"""
