"""What synthetic agents and callers of the demonstration say (A-law WAV, 8 kHz mono; made by `make_voices`).

- `agent.wav`: tells a visitor in German and in English what is heard here
- `caller.wav`: tells an agent's real phone the same of callers
"""

from pathlib import Path

FOLDER = Path(__file__).parent

__all__ = ["FOLDER"]
