"""The shell: sockets and the one loop that drives the pure user agent.

driver      SipEndpoint: one input, then drain everything; one timer
udp tcp     sockets; framing and connections
resolver    names to addresses
"""
