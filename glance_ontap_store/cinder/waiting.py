# SPDX-License-Identifier: Apache-2.0
"""Waits for Cinder to finish an action; each returns what it waited for."""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import time
from typing import Protocol
from typing import TypeVar

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store.cinder import outage
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeService
from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry import recording

LOG = logging.getLogger(__name__)
T = TypeVar("T")


class Clock(Protocol):
    """Time that passes: tests have a clock whose time passes at once."""

    def monotonic(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Return after *seconds*."""


class SystemClock:
    """The host's clock. Under eventlet its sleep lets other greenlets run."""

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Return after *seconds*."""
        time.sleep(seconds)


@dataclasses.dataclass(frozen=True)
class WaitPolicy:
    """The longest waits of a store, in seconds; see the options of these names.

    *http_retries* is a number, of the first request of an operation.
    """

    state_transition_s: float
    attach_s: float
    delete_s: float
    http_retries: int = 3


# The least time that an action takes: Cinder is not asked before it can be over.
# A file is created in about 0.2 s; extending it starts qemu-img in the volume
# service, 0.3 s and more.
CREATE_S = 0.2
EXTEND_S = 0.5


def intervals(first_s: float = 0.1, most_s: float = 2.0) -> Iterator[float]:
    """Waits that begin short, since most actions take under a second, and grow."""
    interval = first_s
    while True:
        yield interval
        interval = min(interval * 1.5, most_s)


def first(clock: Clock, timeout_s: float, ask: Callable[[], T | None]) -> T | None:
    """The first answer of *ask* that is not None; None if *timeout_s* passes.

    *ask* is called at growing intervals: at least once, and a last time when the
    time is over.
    """
    deadline = clock.monotonic() + timeout_s
    for interval in intervals():
        answer = ask()
        if answer is not None:
            return answer
        left = deadline - clock.monotonic()
        if left <= 0:
            return None
        clock.sleep(min(interval, left))
    raise AssertionError("intervals never end")


def until(clock: Clock, timeout_s: float, is_done: Callable[[], bool]) -> bool:
    """Return whether *is_done* returned true in time; it is called as by `first`."""
    return bool(first(clock, timeout_s, lambda: is_done() or None))


def while_busy(clock: Clock, timeout_s: float, action: Callable[[], T]) -> T:
    """The value of *action*, which is repeated as long as the volume is in use.

    :raises errors.ImageVolumeInUse: the last refusal, after *timeout_s*
    """
    deadline = clock.monotonic() + timeout_s
    for interval in intervals():
        try:
            return action()
        except errors.ImageVolumeInUse:
            left = deadline - clock.monotonic()
            if left <= 0:
                raise
        clock.sleep(min(interval, left))
    raise AssertionError("intervals never end")


def raise_if_stuck(volume: Volume, participle: str, refusal: errors.StoreError) -> None:
    """Raise if the status in which the volume refused does not end by itself.

    :raises errors.ImageVolumeStuck: no wait would help
    """
    if not volume.is_passing:
        raise errors.ImageVolumeStuck(
            f"Volume {volume.id} cannot be {participle}: its status in Cinder is"
            f" {volume.status!r}, which does not end by itself ({refusal}). See"
            " the log of cinder-volume, end what holds it, or reset its state"
            " (openstack volume set --state)."
        ) from refusal


def settled(
    volumes: VolumeService,
    clock: Clock,
    begun: Volume,
    least_s: float,
    timeout_s: float,
    status: str = "available",
) -> Volume:
    """The volume once it has left the status of *begun* for *status*.

    *begun* is what Cinder last said of it. Cinder is asked again after *least_s*,
    and then at growing intervals: each question is a request. One that gets no answer
    is no reason to give up before the time is over.

    :raises errors.NoSpace: no pool or quota had room
    :raises errors.Broken: it went to another status, or took too long
    """
    passing = begun.status
    deadline = clock.monotonic() + timeout_s
    wished_s, failure = 0.0, None
    for interval in intervals(least_s):
        left = deadline - clock.monotonic()
        if left <= 0:
            raise _too_long(begun, timeout_s, failure)
        clock.sleep(min(max(interval, wished_s), left))
        wished_s, failure = 0.0, None
        try:
            volume = volumes.get(begun.id)
        except errors.StoreError as error:
            if error.transient is None:
                raise
            wished_s, failure = error.transient.retry_after_s, error
            LOG.warning("%s It is asked again.", error)
            recording.record(catalogue.RETRIES, error.request or catalogue.OTHER)
            continue
        if volume.status == status:
            return volume
        if volume.status != passing:
            raise _failure(volumes, volume, passing)
    raise AssertionError("intervals never end")


def _too_long(
    begun: Volume, timeout_s: float, failure: errors.StoreError | None
) -> errors.StoreError:
    if failure is not None:
        outage.current().give_up()
        errors.add(
            failure,
            f"Volume {begun.id} was {begun.status!r}, and Cinder did not say within"
            f" {timeout_s:g} s (ontap_state_transition_timeout) what became of it.",
        )
        return failure
    return errors.Broken(
        f"Volume {begun.id} is still {begun.status!r} after {timeout_s:g} s. See the"
        " log of cinder-volume; ontap_state_transition_timeout bounds the wait."
    )


def _failure(volumes: VolumeService, volume: Volume, passing: str) -> errors.StoreError:
    fault = volumes.last_fault(volume.id)
    reason = fault.text if fault else "Cinder kept no message about it"
    text = (
        f"Volume {volume.id} of {volume.size_gib} GiB, type {volume.volume_type!r},"
        f" went from {passing!r} to {volume.status!r}: {reason}"
    )
    if fault and fault.is_lack_of_room:
        return errors.NoSpace(
            f"{text} No pool of that volume type has room for it, or none matches the"
            " type's extra specs and the availability zone"
            f" ({volume.availability_zone}): free space, grow the FlexVol, or change"
            " ontap_volume_type or ontap_availability_zone."
        )
    return errors.Broken(f"{text} See the logs of cinder-scheduler and cinder-volume.")
