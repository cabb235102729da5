# SPDX-License-Identifier: Apache-2.0
"""Records what happens, with the recorder that this process uses, if any.

Nothing in here raises because of a recorder: one that fails is not used any more. The
thread carries the operation that it serves (a context variable), as it does for
`cinder.outage`: so a step deep down knows its operation and its store.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import contextvars
import functools
import re
import time
from typing import Protocol

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry.catalogue import Metric

LOG = logging.getLogger(__name__)


class Recorder(Protocol):
    """Keeps what is recorded. Safe to use from threads, and after a fork."""

    def record(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Record *value* as the metric's kind says; *labels* are in its order."""


class _Nothing:
    """`Recorder` that keeps nothing."""

    def record(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        pass


_NOTHING = _Nothing()
_recorder: Recorder = _NOTHING
_monotonic: Callable[[], float] = time.monotonic


def use(
    recorder: Recorder | None, monotonic: Callable[[], float] = time.monotonic
) -> None:
    """Record with *recorder* in this process from now on; None: not at all.

    *monotonic* tells seconds since some moment.
    """
    global _recorder, _monotonic
    _recorder, _monotonic = recorder or _NOTHING, monotonic


def is_on() -> bool:
    """Return whether anything is recorded."""
    return _recorder is not _NOTHING


def record(metric: Metric, *labels: str, value: float = 1) -> None:
    """Record *value*; *labels* are in the order of the metric's. It never raises."""
    recorder = _recorder
    try:
        recorder.record(metric, labels, value)
    except Exception as error:
        if recorder is _recorder:
            use(None)
            LOG.warning(
                "Metrics of this process end, until it is started again: %r. Is there"
                " room in ontap_metrics_directory, and may Glance's user write there?",
                error,
            )


def result_of(error: BaseException | None) -> str:
    """Return the label ``result`` of something that ended with *error*."""
    if error is None:
        return catalogue.SUCCESS
    # Glance's exception for an error of ours has it as its cause.
    for found in (error, error.__cause__):
        if isinstance(found, errors.StoreError):
            return _words(type(found).__name__)
    return catalogue.OTHER if isinstance(error, Exception) else catalogue.INTERRUPTED


@functools.cache
def _words(name: str) -> str:
    """Return the name of a class as ``words_with_underscores``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Operation:
    """One operation of a store, from now to its `end`."""

    def __init__(self, store: str, name: str) -> None:
        self._store = store
        self._name = name
        self._begun = _monotonic()
        # A stream ends it, after the call that Glance made for it.
        self.goes_on = False

    def record(self, metric: Metric, *labels: str, value: float = 1) -> None:
        """Record *value*; the store and the operation are added to *labels*."""
        if "operation" in metric.labels:
            labels = (self._name, *labels)
        record(metric, self._store, *labels, value=value)

    def step(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Record the duration of the block as that of step *name*."""
        return self._timed(name)

    @contextlib.contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        begun = _monotonic()
        try:
            yield
        finally:
            self.record(catalogue.STEP_SECONDS, name, value=_monotonic() - begun)

    def ending(self, release: Callable[[], None]) -> Callable[[str], None]:
        """Return *release* as the end of a stream, which takes the result.

        The time until then is the operation's transfer.
        """
        self.goes_on = True
        begun = _monotonic()

        def end(result: str) -> None:
            took = _monotonic() - begun
            self.record(catalogue.STEP_SECONDS, "transfer", value=took)
            token = _current.set(self)
            try:
                release()
            finally:
                _current.reset(token)
                self.end(result)

        return end

    def end(self, result: str) -> None:
        """Record that the operation has ended."""
        self.record(catalogue.OPERATIONS, result)
        if result == catalogue.SUCCESS:
            took = _monotonic() - self._begun
            self.record(catalogue.OPERATION_SECONDS, value=took)


class _NoOperation(Operation):
    """What runs outside of an operation, or while nothing is recorded."""

    def record(self, metric: Metric, *labels: str, value: float = 1) -> None:
        pass

    def step(self, name: str) -> contextlib.AbstractContextManager[None]:
        return _NO_STEP

    def ending(self, release: Callable[[], None]) -> Callable[[str], None]:
        return lambda _result: release()


_NO_STEP = contextlib.nullcontext()
_NO_OPERATION = _NoOperation("", "")
# Of the request of Glance that this thread serves.
_current: contextvars.ContextVar[Operation] = contextvars.ContextVar(
    "operation", default=_NO_OPERATION
)


def current() -> Operation:
    """The operation of this thread; one that records nothing if there is none."""
    return _current.get()


def operation(store: str | None, name: str) -> contextlib.AbstractContextManager[None]:
    """Record the block as operation *name* of the store, with its result."""
    return _operation(store, name) if is_on() else _NO_STEP


@contextlib.contextmanager
def _operation(store: str | None, name: str) -> Iterator[None]:
    made = Operation(store or "", name)
    token = _current.set(made)
    try:
        yield
    except BaseException as error:
        made.end(result_of(error))
        raise
    else:
        if not made.goes_on:
            made.end(catalogue.SUCCESS)
    finally:
        _current.reset(token)


def step(name: str) -> contextlib.AbstractContextManager[None]:
    """Record the duration of the block as that of a step of the thread's operation."""
    return current().step(name)


@contextlib.contextmanager
def outcome(metric: Metric, *labels: str) -> Iterator[None]:
    """Count the block by its result, which is the metric's last label."""
    try:
        yield
    except BaseException as error:
        record(metric, *labels, result_of(error))
        raise
    record(metric, *labels, catalogue.SUCCESS)


def request(name: str) -> contextlib.AbstractContextManager[None]:
    """Record the block as a request to Cinder."""
    return _request(name) if is_on() else _NO_STEP


@contextlib.contextmanager
def _request(name: str) -> Iterator[None]:
    begun = _monotonic()
    try:
        with outcome(catalogue.REQUESTS, name):
            yield
    finally:
        record(catalogue.REQUEST_SECONDS, name, value=_monotonic() - begun)
