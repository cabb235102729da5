# SPDX-License-Identifier: Apache-2.0
"""Records in files of prometheus_client's multiprocess mode, one set for each process.

The library takes the directory from the environment, and whether to use files from a
variable of its own. Both are set only while a time series is made: another user of the
library in glance-api keeps what it has.
"""

from collections.abc import Iterator
import contextlib
import os
import threading
from typing import Any
import weakref

import prometheus_client
from prometheus_client import values

from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry.catalogue import Kind
from glance_ontap_store.telemetry.catalogue import Metric
from glance_ontap_store.telemetry.slots import Slot

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_Key = tuple[str, tuple[str, ...]]


class MultiProcess:
    """`recording.Recorder` in *directory*. The first value makes the files.

    A forked process gets files of its own.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        # Guards the next one, and the library's variables; reach: this process.
        self._lock = threading.Lock()
        self._files: _Files | None = None
        _ALL.add(self)

    def record(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """As `recording.Recorder.record`.

        :raises OSError: the directory cannot be used, or has no room
        """
        series = self._series(metric, labels)
        match metric.kind:
            case Kind.HISTOGRAM:
                series.observe(value)
            case Kind.LAST:
                series.set(value)
            case _:
                series.inc(value)

    def _series(self, metric: Metric, labels: tuple[str, ...]) -> Any:
        files, key = self._files, (metric.name, labels)
        found = files.series.get(key) if files is not None else None
        if found is not None:
            return found
        with self._lock:
            if self._files is None:
                self._files = _Files(self._directory)
            return self._files.made(key, metric)

    def close(self) -> None:
        """Leave the files to another process. A later value takes files again."""
        with self._lock:
            files, self._files = self._files, None
            if files is not None:
                files.slot.close()

    def after_fork(self) -> None:
        """Let go of the parent's files, in a child that was forked just now."""
        # Another thread of the parent may have held the locks.
        self._lock = threading.Lock()
        files, self._files = self._files, None
        if files is not None:
            files.slot.forget()


class _Files:
    """The time series of one process, by the metric's name and its labels."""

    def __init__(self, directory: str) -> None:
        self.slot = Slot(directory)
        self.series: dict[_Key, Any] = {}
        self._value = values.MultiProcessValue(lambda: self.slot.number)
        self._metrics: dict[str, Any] = {}

    def made(self, key: _Key, metric: Metric) -> Any:
        """Return the time series *key*, made if it is new."""
        if key not in self.series:
            self.slot.make_room()
            with self._in_files():
                if metric.name not in self._metrics:
                    self._metrics[metric.name] = _made(metric)
                parent, (_name, labels) = self._metrics[metric.name], key
                self.series[key] = parent.labels(*labels) if labels else parent
        return self.series[key]

    @contextlib.contextmanager
    def _in_files(self) -> Iterator[None]:
        before, variable = values.ValueClass, os.environ.get(_VARIABLE)
        values.ValueClass = self._value
        os.environ[_VARIABLE] = self.slot.directory
        try:
            yield
        finally:
            values.ValueClass = before
            if variable is None:
                del os.environ[_VARIABLE]
            else:
                os.environ[_VARIABLE] = variable


def _made(metric: Metric) -> Any:
    """Return the library's metric, in no registry: the files are what is read."""
    common = (metric.name, metric.help, metric.labels)
    match metric.kind:
        case Kind.COUNTER:
            return prometheus_client.Counter(*common, registry=None)
        case Kind.HISTOGRAM:
            return prometheus_client.Histogram(
                *common, registry=None, buckets=catalogue.BUCKETS
            )
        case Kind.GAUGE:
            return prometheus_client.Gauge(
                *common, registry=None, multiprocess_mode="livesum"
            )
        case Kind.LAST:
            return prometheus_client.Gauge(
                *common, registry=None, multiprocess_mode="mostrecent"
            )
    raise AssertionError(metric.kind)


# All objects of this process, for the hook after a fork.
_ALL: "weakref.WeakSet[MultiProcess]" = weakref.WeakSet()


def _after_fork() -> None:
    for recorder in list(_ALL):
        recorder.after_fork()


os.register_at_fork(after_in_child=_after_fork)
