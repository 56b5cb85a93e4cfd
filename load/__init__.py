"""Synthetic callers and agents: load runs, the self-test, benches. May import every room; nobody imports it but tests.

- `command.py` (`fernamt load`), `self_test.py` (`fernamt check`), `acceptance.py` (`make load`), `routing_bench.py`, `media_bench.py`,
  `encrypted_bench.py` with its `browser.py`, `codec_bench.py`, `alternate.py`
- `profiles.py`, `scenarios/`: how people behave, pure and seeded
- `runner.py`, `process.py`, `parties.py`, `records.py`: a run, its processes, its parties, what they leave behind
- `rtp_fleet.py`, `rtp_process.py`, `rtp_watch.py`: hundreds of RTP streams, sent and counted
- `phones.py`, `phone_audio.py`, `phone_bank.py`, `hearing.py`: a phone for programs
- `report.py`, `plot.py`, `bench.py`: figures, picture, limits
- `provision.py`, `api_client.py`, `private_instance.py`, `server_process.py`: the service from outside
"""
