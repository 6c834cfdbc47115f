"""What is counted for Prometheus: requests, waiting, the model's work, what is held. No user, no study, nobody's words."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0

from .turns import Job, Turns

KIND = CONTENT_TYPE_PLAIN_1_0_0
SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
RESTARTS = "MEDVLM_RESTARTS"  # in the environment: how often a supervisor has started the server anew


class Metrics:
    """Those of one server; each label has few values, which the code names."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        labels = ["method", "route", "status"]
        self.requests = Counter("medvlm_requests", "Requests that were answered.", labels, registry=registry)
        self.seconds = Histogram(
            "medvlm_request_seconds",
            "From a request to the end of its answer.",
            ["route"],
            registry=registry,
            buckets=SECONDS,
        )
        self.waited = Histogram(
            "medvlm_queue_wait_seconds", "Waiting for the model.", registry=registry, buckets=SECONDS
        )
        self.worked = Histogram(
            "medvlm_model_seconds", "The model's work, by tool.", ["tool"], registry=registry, buckets=SECONDS
        )
        self.gauge(
            "medvlm_restarts", "Times that the server was started anew.", lambda: int(os.environ.get(RESTARTS, 0))
        )

    def gauge(self, name: str, words: str, value: Callable[[], float]) -> None:
        """Something that is looked at whenever it is asked for."""
        Gauge(name, words, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self.registry)


class CountedTurns(Turns):
    """The queue before the model, with how long work waits in it."""

    def __init__(self, metrics: Metrics, **options: Any):
        super().__init__(**options)
        self._metrics = metrics
        metrics.gauge(
            "medvlm_queue_length",
            "Requests that wait for the model or are worked on.",
            lambda: len(self._jobs) + len(self._awaited),
        )

    def submit(self, client: str, work: Callable[[], Any]) -> Job:
        return super().submit(client, self._queued(work))

    def wait(self, work: Callable[[], Any], tab: str = "", asker: Any = None) -> Any:
        return super().wait(self._queued(work), tab, asker)

    def _queued(self, work: Callable[[], Any]) -> Callable[[], Any]:
        """`work`, with the time counted that it waits from now on until it begins."""
        since = time.monotonic()

        def begun() -> Any:
            self._metrics.waited.observe(time.monotonic() - since)
            return work()

        return begun


class Timed:
    """An assistant whose methods are timed."""

    def __init__(self, assistant: Any, metrics: Metrics):
        self._assistant, self._metrics = assistant, metrics

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._assistant, name)
        if not callable(value) or isinstance(value, type):
            return value

        @wraps(value)
        def call(*args: Any, **options: Any) -> Any:
            with self._metrics.worked.labels(name).time():
                return value(*args, **options)

        return call
