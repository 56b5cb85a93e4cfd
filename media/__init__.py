"""The RTP plane: audio between phones, in worker processes of its own; knows nothing of calls, queues or SIP.

From the outside: `client` (`MediaPlane`, what the exchange holds), `control_connection` and `processes` (what it holds of each worker),
`takeover` (workers whose main process is gone), `control` (the messages both ways), `wire_cost` (kbit/s of a channel), `prompts` (names of
sounds, how to say a number), `errors`.

In the worker process: `worker` (the loop, orders), `legs/` (one leg: the packet path, digits, playing), `transport/` (between a leg and
the network), `room` (who hears whom in a call: a bridge of two, or a `mix`), `recordings` (which leg feeds which channel), `recorder` (the
files), `ports`, `framing`, `io`.

Pure, one algorithm each: `rtp/` (RFC 3550), `codecs/` (G.711, G.722, conversion between them), `resample`, `dtmf` (RFC 4733 and in
band), `tones`, `concealment`, `jitter_buffer`, `speaker` (a line to 20 ms of audio each tick), `rates`, `channel` (a recording's
time line), `quality` (G.107), `frame`, `wave_file`, `sound_file` (what somebody sends, to A-law at 8 kHz). `sounds/` holds the audio and
the script that makes it.
"""
