"""Session descriptions: `description` (the values and their text), `parser` (text to values), `offer_answer` (RFC 3264), `webrtc` (ICE and
DTLS in them).
"""
