"""A tone in a file, for clients that speak files."""

import wave
from pathlib import Path

import numpy as np


def tone_file(path: Path, frequency: float, seconds: int = 60) -> None:
    """16 bit, 8 kHz, one channel."""
    samples = (12000 * np.sin(2 * np.pi * frequency * np.arange(8000 * seconds) / 8000)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.tobytes())
