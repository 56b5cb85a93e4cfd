"""Between a leg and the network: `base` (what a transport is), `udp` (plain RTP: the sockets themselves), `protected` (SRTP's place)."""
