"""Voice quality of one direction by the E-model: ITU-T G.107 with factors of G.113 Appendix I; R to MOS by G.107 Annex B."""

from __future__ import annotations

import math
from dataclasses import dataclass

R_DEFAULT = 93.2
"""G.107 §7.7 with all defaults, before delay and equipment."""


@dataclass(frozen=True, slots=True)
class EquipmentImpairment:
    """What a codec costs (`ie`) and how it bears loss (`bpl`)."""

    ie: float
    bpl: float


@dataclass(frozen=True, slots=True)
class Impairments:
    """One codec's, by whether its receiver conceals what is lost."""

    plain: EquipmentImpairment
    concealed: EquipmentImpairment


G711 = Impairments(EquipmentImpairment(0.0, 4.3), EquipmentImpairment(0.0, 25.1))
"""G.113 Appendix I: G.711 without, and with Appendix I packet loss concealment."""
G729A = EquipmentImpairment(11.0, 19.0)
G723_63 = EquipmentImpairment(15.0, 16.1)


def delay_impairment(one_way_s: float) -> float:
    """Idd: G.107 §7.4, equation 7-27; nothing up to 100 ms."""
    delay_ms = one_way_s * 1000
    if delay_ms <= 100:
        return 0.0
    x = math.log2(delay_ms / 100)
    return float(25.0 * ((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2))


def effective_equipment_impairment(codec: EquipmentImpairment, loss_fraction: float, burst_ratio: float = 1.0) -> float:
    """Ie,eff: G.107 §7.5, equation 7-29; `burst_ratio` 1 is random loss."""
    loss_percent = 100.0 * loss_fraction
    if loss_percent <= 0.0:
        return codec.ie
    return codec.ie + (95 - codec.ie) * loss_percent / (loss_percent / burst_ratio + codec.bpl)


def r_factor(codec: EquipmentImpairment, loss_fraction: float, one_way_s: float = 0.0, burst_ratio: float = 1.0) -> float:
    """Transmission rating, 0 to 93.2."""
    r = R_DEFAULT - delay_impairment(one_way_s) - effective_equipment_impairment(codec, loss_fraction, burst_ratio)
    return min(R_DEFAULT, max(0.0, r))


def mos(r: float) -> float:
    """Estimated mean opinion score of a rating: G.107 Annex B, equation B-4."""
    if r <= 0.0:
        return 1.0
    if r >= 100.0:
        return 4.5
    return max(1.0, 1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r))


def mouth_to_ear_s(round_trip_s: float | None, jitter_s: float, ptime_s: float) -> float:
    """One way, as far as we can know it: half the round trip, one packet of coding, a jitter buffer of twice the jitter or one packet."""
    return (round_trip_s or 0.0) / 2 + ptime_s + max(ptime_s, 2 * jitter_s)
