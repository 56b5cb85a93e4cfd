"""The shell: sockets and the one loop that drives the pure user agent.

driver      SipEndpoint: one input, then drain everything; one timer
transport   what a transport is; flows and their ids        registry    the transports there are, by name
udp tcp tls sockets; framing, connections, handshakes
resolver    names to addresses                              aside       what is not to be read yet
"""
