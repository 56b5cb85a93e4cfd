"""E-model: ITU-T G.107 with the factors of G.113 Appendix I; the table of published values for G.711 and G.729A."""

import pytest

from media import quality

LOSSES = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05)


@pytest.mark.parametrize(
    ("codec", "scores"),
    [
        (quality.G711.plain, (4.41, 4.14, 3.83, 3.26, 2.79, 2.17)),
        (quality.G711.concealed, (4.41, 4.37, 4.33, 4.23, 4.13, 3.92)),
        (quality.G729A, (4.10, 4.03, 3.95, 3.79, 3.63, 3.34)),
    ],
)
def test_mos_at_random_loss(codec, scores):
    assert [round(quality.mos(quality.r_factor(codec, loss)), 2) for loss in LOSSES] == list(scores)


@pytest.mark.parametrize(
    ("delay_ms", "score"), [(0, 4.41), (100, 4.41), (150, 4.41), (177, 4.39), (200, 4.34), (250, 4.18), (300, 3.96), (400, 3.56)]
)
def test_mos_at_delay(delay_ms, score):
    assert quality.mos(quality.r_factor(quality.G711.plain, 0.0, delay_ms / 1000)) == pytest.approx(score, abs=0.006)


def test_concealment_is_worth_half_a_point_at_one_percent():
    concealed, plain = (quality.mos(quality.r_factor(codec, 0.01)) for codec in (quality.G711.concealed, quality.G711.plain))
    assert concealed - plain == pytest.approx(0.50, abs=0.01)


def test_bursty_loss_is_worse_than_random_loss():
    assert quality.r_factor(quality.G711.plain, 0.03, burst_ratio=2.0) < quality.r_factor(quality.G711.plain, 0.03)


def test_mos_stays_on_its_scale():
    assert quality.mos(-5) == 1.0
    assert quality.mos(0.0) == 1.0
    assert quality.mos(3.0) == 1.0  # B-4 dips below 1 at the very bottom
    assert quality.mos(120) == 4.5
    assert quality.r_factor(quality.G711.plain, 1.0, 3.0) == pytest.approx(0.0, abs=2.0)


def test_one_way_delay_is_half_the_trip_and_the_buffers():
    assert quality.mouth_to_ear_s(0.100, 0.002, 0.020) == pytest.approx(0.090)
    assert quality.mouth_to_ear_s(None, 0.030, 0.020) == pytest.approx(0.080)
