"""One leg, cut by what it does: `leg` (the whole, orders of the exchange), `receiver` (the packet path in), `sender` (the packet path out,
what plays), `outlet` (where received packets go), `bridge` (relay between two), `digits_out` (keys we send), `reports` (RTCP),
`silence_watch`, `playback`, `host` (what a leg needs of its worker).
"""
