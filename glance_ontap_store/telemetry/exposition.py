# SPDX-License-Identifier: Apache-2.0
"""The metrics of all processes of a host, as Prometheus reads them."""

from collections.abc import Iterator
from typing import Any

import prometheus_client
from prometheus_client import metrics_core
from prometheus_client import multiprocess

from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry import slots


class _Collector:
    def __init__(self, directory: str) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Any]:
        found, live = slots.files(self._directory)
        processes = catalogue.PROCESSES
        yield metrics_core.GaugeMetricFamily(processes.name, processes.help, value=live)
        merged = multiprocess.MultiProcessCollector.merge(found)
        yield from sorted(merged, key=lambda metric: str(metric.name))


def text(directory: str) -> str:
    """Return the sums over all processes that record in *directory*.

    A directory that does not exist has no processes.

    :raises OSError: a file cannot be read
    """
    return str(prometheus_client.generate_latest(_registry(directory)).decode())


def write(directory: str, path: str) -> None:
    """Write `text` to *path*, whose old content is replaced at once or not at all.

    :raises OSError: a file cannot be read or written
    """
    prometheus_client.write_to_textfile(path, _registry(directory))


def _registry(directory: str) -> Any:
    registry = prometheus_client.CollectorRegistry()
    registry.register(_Collector(directory))
    return registry
