"""RTP without a socket: `packet` (RFC 3550 §5, demultiplexing), `sequence` (wrap-round), `source` (A.1, A.3, A.8), `outgoing` (one
continuous stream), `rtcp` (§6.4-6.7), `report_interval` (A.7), `latch` (RFC 4961), `session` (all of it for one leg).
"""
