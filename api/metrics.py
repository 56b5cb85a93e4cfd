"""/metrics in the Prometheus text format: requests of the API, and the figures of the voice service, in a registry of our own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from acd.bus import Unanswered
from acd.client import VoiceClient
from api.metric_words import HELP

Figures = Callable[[], Mapping[str, float]]
NOT_DESCRIBED = "A figure without a description."
"""The tests see to it that none is like that."""
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class VoiceFigures(Collector):
    """The figures of the voice service and of the house as families: what ends in `_total` counts, the rest is a gauge."""

    def __init__(self, also: Figures) -> None:
        self._also = also
        self.of_voice: Mapping[str, float] = {}
        """Of the moment at which the page is written."""

    def describe(self) -> Iterable[Metric]:
        """Nothing to register ahead: the names are the voice service's."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Of now."""
        yield from families({**self.of_voice, **self._also()})


def families(figures: Mapping[str, float]) -> Iterator[Metric]:
    """Samples with Prometheus names (labels in the name) grouped by family."""
    found: dict[str, Metric] = {}
    for name in sorted(figures):
        for parsed in text_string_to_metric_families(f"{name} {float(figures[name])}\n"):
            for sample in parsed.samples:
                family = found.get(sample.name)
                if family is None:
                    kind = CounterMetricFamily if sample.name.endswith("_total") else GaugeMetricFamily
                    family = found[sample.name] = kind(sample.name, HELP.get(sample.name, NOT_DESCRIBED))
                family.add_sample(sample.name, sample.labels, sample.value)
    yield from found.values()


class Metrics:
    """The registry, and what the middleware counts."""

    def __init__(self, voice: VoiceClient, also: Figures = dict) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._voice = voice
        self._figures = VoiceFigures(also)
        self.registry.register(self._figures)
        self.requests = Counter(
            "fernamt_http_requests", HELP["fernamt_http_requests_total"], ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "fernamt_http_request_seconds",
            HELP["fernamt_http_request_seconds"],
            ("method", "route"),
            registry=self.registry,
            buckets=BUCKETS_S,
        )
        self.audit_failures = Counter("fernamt_audit_failures", HELP["fernamt_audit_failures_total"], registry=self.registry)
        self.recordings_played = Counter(
            "fernamt_recordings_played", HELP["fernamt_recordings_played_total"], ("tenant",), registry=self.registry
        )
        self.recordings_sent = Counter(
            "fernamt_recordings_sent_octets", HELP["fernamt_recordings_sent_octets_total"], ("tenant",), registry=self.registry
        )
        self.recordings_deleted = Counter(
            "fernamt_recordings_deleted",
            HELP["fernamt_recordings_deleted_total"],
            ("tenant", "by"),
            registry=self.registry,
        )
        self.refused = Counter(
            "fernamt_http_requests_refused", HELP["fernamt_http_requests_refused_total"], ("reason",), registry=self.registry
        )
        self.sockets = Gauge("fernamt_websockets", HELP["fernamt_websockets"], ("route",), registry=self.registry)

    async def text(self) -> bytes:
        """The page."""
        try:
            self._figures.of_voice = await self._voice.figures()
        except Unanswered:  # what the house counts itself is told all the same; that of the service is missing, and not old
            self._figures.of_voice = {}
        return generate_latest(self.registry)


def route_of(scope: Scope) -> str:
    """The route's template, never the path itself: a label has few values."""
    route = scope.get("route")
    return str(getattr(route, "path", "unknown")) if isinstance(route, BaseRoute) else "unknown"


class CountRequests:
    """ASGI middleware around the application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request when it is answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route, method = route_of(scope), str(scope["method"])
            method = method if method in {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"} else "other"
            metrics: Metrics = scope["app"].state.metrics
            metrics.requests.labels(method, route, str(status)).inc()
            metrics.seconds.labels(method, route).observe(time.perf_counter() - began)
