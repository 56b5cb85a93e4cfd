"""Mixing: everybody hears the others and never himself (mix-minus), as a matrix over all legs once a tick (house, DESIGN.md §4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from media.frame import Samples


def mix_minus(inputs: NDArray[np.int16]) -> NDArray[np.int16]:
    """Give each of N parties the sum of the others.

    Args:
        inputs: shape (parties, samples), int16, one frame each.
    Returns: same shape; row i leaves party i out; saturated to the int16 range.
    Raises: ValueError: fewer than two parties.
    Source: house algorithm; int32 accumulator, so 65 536 parties cannot overflow it.
    """
    if inputs.ndim != 2 or inputs.shape[0] < 2:
        raise ValueError(f"mixing needs two parties or more, not shape {inputs.shape}")
    wide = inputs.astype(np.int32)
    mixed: NDArray[np.int16] = np.clip(wide.sum(axis=0) - wide, -32768, 32767).astype(np.int16)
    return mixed


def mix_matrix(inputs: NDArray[np.int16], hears: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Mix by who hears whom: listen, whisper and barge are rows of the matrix.

    Args:
        inputs: shape (speakers, samples), int16.
        hears: shape (listeners, speakers); `hears[i, j]`: listener i hears speaker j. Who hears himself has an echo.
    Returns: shape (listeners, samples), saturated.
    Raises: ValueError: shapes that do not fit.
    """
    if inputs.ndim != 2 or hears.ndim != 2 or hears.shape[1] != inputs.shape[0]:
        raise ValueError(f"matrix {hears.shape} does not fit audio {inputs.shape}")
    mixed: NDArray[np.int16] = np.clip(hears.astype(np.int32) @ inputs.astype(np.int32), -32768, 32767).astype(np.int16)
    return mixed


def supervise(*, agent: int, caller: int, supervisor: int, whispers: bool = False, barges: bool = False) -> NDArray[np.bool_]:
    """The matrix of one monitored call: the supervisor hears both; whispering reaches the agent, barging both."""
    hears = np.zeros((3, 3), dtype=np.bool_)
    hears[agent, caller] = hears[caller, agent] = True
    hears[supervisor, agent] = hears[supervisor, caller] = True
    hears[agent, supervisor] = whispers or barges
    hears[caller, supervisor] = barges
    return hears


def gain(audio: Samples, decibels: float) -> Samples:
    """Louder or softer, saturated."""
    return np.clip(np.rint(audio.astype(np.float64) * 10 ** (decibels / 20)), -32768, 32767).astype(np.int16)
