# SPDX-License-Identifier: Apache-2.0
"""A recorder that keeps every value."""

from collections import defaultdict
from collections.abc import Mapping

from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry.catalogue import Kind
from glance_ontap_store.telemetry.catalogue import Metric

Labels = tuple[str, ...]


class FakeRecorder:
    """`recording.Recorder` in memory; it fails with *error* once a test sets it."""

    def __init__(self) -> None:
        self._values: dict[str, dict[Labels, list[float]]] = defaultdict(
            lambda: defaultdict(list)
        )
        self.error: Exception | None = None

    def record(self, metric: Metric, labels: Labels, value: float) -> None:
        if self.error is not None:
            raise self.error
        assert metric in catalogue.METRICS
        assert len(labels) == len(metric.labels)
        self._values[metric.name][labels].append(value)

    def of(self, metric: Metric) -> Mapping[Labels, float]:
        """The sums by labels, without those that are zero; of LAST the last value."""
        found = self._values[metric.name].items()
        is_sum = metric.kind is not Kind.LAST
        sums = {key: sum(all_) if is_sum else all_[-1] for key, all_ in found}
        return {key: value for key, value in sums.items() if value}

    def times(self, metric: Metric) -> Mapping[Labels, int]:
        """How many values were recorded, by labels."""
        found = self._values[metric.name].items()
        return {key: len(values) for key, values in found}

    def labels(self) -> dict[str, set[str]]:
        """Every value that each label has had."""
        found: dict[str, set[str]] = defaultdict(set)
        for metric in catalogue.METRICS:
            for labels in self._values[metric.name]:
                for name, value in zip(metric.labels, labels, strict=True):
                    found[name].add(value)
        return dict(found)
