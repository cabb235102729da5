# SPDX-License-Identifier: Apache-2.0
"""Sends a request to Cinder again when it failed for a reason that may pass.

It is the only place that does so: keystoneauth and cinderclient send each request
once. `cinder.translate` tells which failures may pass.
"""

from collections.abc import Callable
import dataclasses
from typing import Any
from typing import TypeVar
from typing import cast

from oslo_log import log as logging
import tenacity

from glance_ontap_store import errors
from glance_ontap_store.cinder import api
from glance_ontap_store.cinder import outage
from glance_ontap_store.cinder.waiting import Clock
from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry import recording

LOG = logging.getLogger(__name__)
T = TypeVar("T")

# 0.5, 1, 2, 4, 8, 10, 10 ... seconds, and up to half a second more: the stores of
# many hosts must not all come back in the same moment.
_PAUSES_S = tenacity.wait_exponential(multiplier=0.5, max=10) + tenacity.wait_random(
    0, 0.5
)
# The longest time for requests that have a number of tries: a service that asks for
# more (Retry-After) is not waited for.
_BRIEF_S = 30.0


@dataclasses.dataclass(frozen=True)
class Patience:
    """The end of the repetitions: *timeout_s* seconds, or *tries* if not None."""

    timeout_s: float
    tries: int | None = None

    @classmethod
    def brief(cls, retries: int) -> "Patience":
        """For a request before which nothing was done: its user can ask again."""
        return cls(_BRIEF_S, 1 + retries)


def repeat(clock: Clock, patience: Patience, action: Callable[[], T]) -> T:
    """The value of *action*, called again while it fails for a passing reason.

    The pauses grow, and are at least as long as the service asked for. It ends with
    *patience*, or with that of the operation to which it belongs, see `outage`.

    :raises errors.StoreError: the last failure, with the number of tries
    """
    current = outage.current()
    with current.repetition(clock) as end:
        return _repeat(clock, patience, end, current, action)


def _repeat(
    clock: Clock,
    patience: Patience,
    end: float,
    current: outage.Budget,
    action: Callable[[], T],
) -> T:
    begun = clock.monotonic()
    deadline = min(begun + patience.timeout_s, end)

    def pause_s(state: tenacity.RetryCallState) -> float:
        wished = max(_PAUSES_S(state), _retry_after_s(state))
        return max(0.0, min(wished, deadline - clock.monotonic()))

    def is_over(state: tenacity.RetryCallState) -> bool:
        is_last = patience.tries is not None and state.attempt_number >= patience.tries
        return is_last or clock.monotonic() >= deadline

    def is_to_be_repeated(error: BaseException) -> bool:
        may_pass = _may_pass(error)
        current.has_failed |= may_pass
        return may_pass

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_to_be_repeated),
        wait=pause_s,
        stop=is_over,
        sleep=clock.sleep,
        before_sleep=_tell,
        reraise=True,
    )
    try:
        return retrying(action)
    except errors.StoreError as error:
        tries = retrying.statistics["attempt_number"]
        if tries > 1:
            error.is_last_of_many = True
            took_s = clock.monotonic() - begun
            errors.add(error, f"It was tried {tries} times in {took_s:.0f} s.")
        raise


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, errors.StoreError) and error.transient is not None


def _failure(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _retry_after_s(state: tenacity.RetryCallState) -> float:
    error = _failure(state)
    found = error.transient if isinstance(error, errors.StoreError) else None
    return found.retry_after_s if found else 0


def _tell(state: tenacity.RetryCallState) -> None:
    error = _failure(state)
    LOG.warning("%s It is tried again (number %d).", error, state.attempt_number + 1)
    name = getattr(error, "request", None) or catalogue.OTHER
    recording.record(catalogue.RETRIES, name)


class _Patient:
    """Passes calls on, and repeats those that are safe to repeat."""

    def __init__(self, service: Any, clock: Clock, patience: Patience) -> None:
        self._service = service
        self._clock = clock
        self._patience = patience

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._service, name)
        if name in api.ONCE or not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            return repeat(self._clock, self._patience, lambda: found(*args, **kwargs))

        return call


def patient(service: T, clock: Clock, patience: Patience) -> T:
    """*service*, whose requests are repeated with *patience*, but for `api.ONCE`.

    *service* is an `api.VolumeService`, or a client with more requests.
    """
    return cast(T, _Patient(service, clock, patience))
