"""/metrics in the Prometheus text format: requests of the API, and the figures of the voice service, in a registry of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from acd.service import VoiceService
from api.metric_words import HELP

Figures = Callable[[], Mapping[str, float]]
NOT_DESCRIBED = "A figure without a description."
"""The tests see to it that none is like that."""
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class VoiceFigures(Collector):
    """`VoiceService.figures()` and those of the house as families: what ends in `_total` counts, the rest is a gauge."""

    def __init__(self, voice: VoiceService, also: Figures, words: Mapping[str, str]) -> None:
        self._voice = voice
        self._also = also
        self._words = words

    def describe(self) -> Iterable[Metric]:
        """Nothing to register ahead: the names are the voice service's."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Ask now."""
        yield from families({**self._voice.figures(), **self._also()}, self._words)


def families(figures: Mapping[str, float], words: Mapping[str, str] = HELP) -> Iterator[Metric]:
    """Samples with Prometheus names (labels in the name) grouped by family."""
    found: dict[str, Metric] = {}
    for name in sorted(figures):
        for parsed in text_string_to_metric_families(f"{name} {float(figures[name])}\n"):
            for sample in parsed.samples:
                family = found.get(sample.name)
                if family is None:
                    kind = CounterMetricFamily if sample.name.endswith("_total") else GaugeMetricFamily
                    family = found[sample.name] = kind(sample.name, words.get(sample.name, NOT_DESCRIBED))
                family.add_sample(sample.name, sample.labels, sample.value)
    yield from found.values()


class Metrics:
    """The registry, and what the middleware counts."""

    def __init__(self, voice: VoiceService, also: Figures = dict, of_slices: Mapping[str, str] | None = None) -> None:
        """Args:
        also: figures beside those of the voice service.
        of_slices: what slices say of theirs.
        """
        words = {**HELP, **(of_slices or {})}
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(VoiceFigures(voice, also, words))
        self.requests = Counter(
            "fernamt_http_requests", words["fernamt_http_requests_total"], ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "fernamt_http_request_seconds",
            words["fernamt_http_request_seconds"],
            ("method", "route"),
            registry=self.registry,
            buckets=BUCKETS_S,
        )
        self.audit_failures = Counter("fernamt_audit_failures", words["fernamt_audit_failures_total"], registry=self.registry)
        self.recordings_played = Counter(
            "fernamt_recordings_played", words["fernamt_recordings_played_total"], ("tenant",), registry=self.registry
        )
        self.recordings_sent = Counter(
            "fernamt_recordings_sent_octets", words["fernamt_recordings_sent_octets_total"], ("tenant",), registry=self.registry
        )
        self.recordings_deleted = Counter(
            "fernamt_recordings_deleted",
            words["fernamt_recordings_deleted_total"],
            ("tenant", "by"),
            registry=self.registry,
        )
        self.refused = Counter(
            "fernamt_http_requests_refused", words["fernamt_http_requests_refused_total"], ("reason",), registry=self.registry
        )
        self.sockets = Gauge("fernamt_websockets", words["fernamt_websockets"], ("route",), registry=self.registry)

    def text(self) -> bytes:
        """The page."""
        return generate_latest(self.registry)
