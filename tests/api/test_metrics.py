"""Whoever reads /metrics is told of each figure what it counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acd.guard import Guard
from api.edge.connections import Connections
from api.metric_words import HELP as HOUSE
from api.metrics import NOT_DESCRIBED, Metrics, families
from api.slices import SLICES
from tests.acd.voice import running

HELP = {**HOUSE, **SLICES.metrics}
ROOT = Path(__file__).resolve().parents[2]


def told(text: str) -> dict[str, str]:
    return dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.MULTILINE))


@pytest.mark.slow
async def test_every_figure_of_a_service_says_what_it_counts(tmp_path: Path) -> None:
    connections = Connections(1, 1, 1, ())
    async with running(tmp_path) as service:
        await service.voice._media.status()
        service.voice.switch.counters.update(re.findall(r"fernamt_switch_(\w+)_total", " ".join(HELP)))
        also = {"fernamt_tenants_failed": 0, "fernamt_databases_away": 0, **connections.figures(), **Guard().figures()}
        words = told((await Metrics(service.client, lambda: also, SLICES.metrics).text()).decode())
    assert len(words) > 40
    undescribed = [name for name, sentence in words.items() if sentence == NOT_DESCRIBED]
    assert not undescribed, f"`metrics` of a slice (api/<slice>/slice.py) or api/metric_words.py says nothing of {', '.join(undescribed)}"


def test_counters_that_have_not_counted_yet_are_described_too() -> None:
    """They appear with their first event, when somebody wants to know."""
    source = "".join(path.read_text() for path in (ROOT / "acd/switch").glob("*.py")) + (ROOT / "acd/runtime.py").read_text()
    names = set(re.findall(r'counters\["(\w+)"\] \+= ', source))
    assert len(names) > 10
    assert names <= {name.removeprefix("fernamt_switch_").removesuffix("_total") for name in HELP}


def test_a_sentence_says_more_than_the_name() -> None:
    for name, sentence in HELP.items():
        assert sentence.endswith("."), name
        assert len(sentence) > len(name) / 2, name
    (family,) = families({"fernamt_calls_admitted_total": 1.0})
    assert family.documentation == HELP["fernamt_calls_admitted_total"]
