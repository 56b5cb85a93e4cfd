"""The shell's edge: `udp` (socket pairs, kernel drops), `pacer` (deadlines, the 20 ms tick), `control_socket`, `descriptors`."""
