"""Between a leg and the network: `base` (what a transport is), `udp` (plain RTP: the sockets themselves), `protected` (SRTP's place),
`keys` (what SRTP is keyed with); for browsers `stun`, `ice` (who the peer is and where) and `dtls` (whence the keys are).
"""
