# SPDX-License-Identifier: Apache-2.0
import itertools

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_ontap_store import errors
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.api import Fault
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.waiting import SystemClock
from glance_ontap_store.errors import Doubt
from glance_ontap_store.errors import Transient
from glance_ontap_store.tests.fakes.clock import FakeClock


class TestIntervals:
    def test_intervals_grow_up_to_a_limit(self):
        found = list(itertools.islice(waiting.intervals(0.1, 2.0), 50))
        assert found[0] == 0.1
        assert found == sorted(found)
        assert found[-1] == 2.0
        assert max(found) <= 2.0


class TestUntil:
    def test_a_true_answer_needs_no_wait(self):
        clock = FakeClock()
        before = clock.monotonic()
        assert waiting.until(clock, 0, lambda: True)
        assert clock.monotonic() == before

    def test_without_time_the_question_is_asked_once(self):
        asked = []
        assert not waiting.until(FakeClock(), 0, lambda: bool(asked.append(1)))
        assert len(asked) == 1

    @given(st.floats(min_value=0.01, max_value=1000))
    def test_the_question_is_asked_a_last_time_at_the_end(self, timeout_s):
        clock = FakeClock()
        end = clock.monotonic() + timeout_s
        moments = []
        assert not waiting.until(
            clock, timeout_s, lambda: bool(moments.append(clock.monotonic()))
        )
        assert moments[-1] == pytest.approx(end)
        assert clock.monotonic() == pytest.approx(end)

    @given(
        st.floats(min_value=0, max_value=100), st.floats(min_value=0.01, max_value=100)
    )
    def test_a_change_in_time_is_noticed(self, happens_after_s, timeout_s):
        clock = FakeClock()
        moment = clock.monotonic() + happens_after_s
        found = waiting.until(clock, timeout_s, lambda: clock.monotonic() >= moment)
        if happens_after_s < timeout_s * 0.999:
            assert found
        if happens_after_s > timeout_s * 1.001:
            assert not found


class OneVolume:
    """A service with one volume, whose status changes each second."""

    def __init__(self, clock, *statuses, fault=None):
        self._clock = clock
        self._statuses = statuses
        self._fault = fault
        self._begun = clock.monotonic()
        self.asked_at_s = []

    def get(self, volume_id):
        self.asked_at_s.append(self._clock.monotonic() - self._begun)
        passed = int(self._clock.monotonic() - self._begun)
        status = self._statuses[min(passed, len(self._statuses) - 1)]
        return Volume(volume_id, status, 3, volume_type="ontap-fv1")

    def last_fault(self, volume_id):
        return self._fault


CREATING = Volume("v-1", "creating", 3)


def settled(*statuses, timeout_s=100, fault=None):
    clock = FakeClock()
    volumes = OneVolume(clock, *statuses, fault=fault)
    return waiting.settled(volumes, clock, CREATING, 0.2, timeout_s)


class TestSettled:
    def test_a_fast_action_takes_one_question(self):
        clock = FakeClock()
        volumes = OneVolume(clock, "available")
        waiting.settled(volumes, clock, CREATING, 0.4, 100)
        assert volumes.asked_at_s == [pytest.approx(0.4)]

    @given(st.floats(min_value=0.05, max_value=50))
    def test_the_question_is_asked_a_last_time_at_the_end(self, timeout_s):
        clock = FakeClock()
        volumes = OneVolume(clock, "creating")
        with pytest.raises(errors.Broken, match="still 'creating'"):
            waiting.settled(volumes, clock, CREATING, 0.2, timeout_s)
        assert volumes.asked_at_s[-1] == pytest.approx(timeout_s)

    @pytest.mark.parametrize("seconds", [0, 1, 30])
    def test_an_available_volume_is_returned(self, seconds):
        assert settled(*["creating"] * seconds, "available").status == "available"

    def test_a_wait_that_is_too_long_names_the_option(self):
        with pytest.raises(errors.Broken, match="still 'creating' after 5 s") as caught:
            settled("creating", timeout_s=5)
        assert "ontap_state_transition_timeout" in str(caught.value)

    @pytest.mark.parametrize("status", ["error", "error_extending", "deleting"])
    def test_another_status_is_an_error(self, status):
        with pytest.raises(errors.Broken, match=f"'creating' to '{status}'") as caught:
            settled("creating", status)
        assert "no message" in str(caught.value)

    def test_the_error_has_cinders_message(self):
        fault = Fault("VOLUME_VOLUME_001_001", "The array said no.")
        with pytest.raises(errors.Broken, match="The array said no"):
            settled("creating", "error", fault=fault)

    @pytest.mark.parametrize("code", ["003", "006"])
    def test_a_message_about_room_is_lack_of_space(self, code):
        fault = Fault(f"VOLUME_VOLUME_001_{code}", "No weighed backends.")
        with pytest.raises(errors.NoSpace, match="No weighed backends") as caught:
            settled("creating", "error", fault=fault)
        assert "ontap_volume_type" in str(caught.value)
        assert "'ontap-fv1'" in str(caught.value)


class Away(OneVolume):
    """Does not answer until *until_s* seconds have passed."""

    def __init__(self, clock, until_s, error):
        super().__init__(clock, "available")
        self._until_s = until_s
        self._error = error

    def get(self, volume_id):
        volume = super().get(volume_id)
        if self.asked_at_s[-1] < self._until_s:
            raise self._error
        return volume


def away(retry_after_s=0.0):
    error = errors.CinderUnreachable("no answer")
    error.transient = Transient(Doubt.LOST, retry_after_s)
    return error


class TestSettledInAnOutage:
    @pytest.mark.parametrize("until_s", [0.3, 30, 99])
    def test_an_outage_shorter_than_the_wait_is_survived(self, until_s):
        clock = FakeClock()
        volumes = Away(clock, until_s, away())
        found = waiting.settled(volumes, clock, CREATING, 0.2, 100)
        assert found.status == "available"

    def test_the_error_of_a_longer_one_names_it_and_the_option(self):
        clock = FakeClock()
        with pytest.raises(errors.CinderUnreachable, match="no answer") as caught:
            waiting.settled(Away(clock, 101, away()), clock, CREATING, 0.2, 100)
        assert "ontap_state_transition_timeout" in errors.describe(caught.value)

    def test_cinder_is_not_asked_before_the_time_it_wished(self):
        clock = FakeClock()
        volumes = Away(clock, 1, away(retry_after_s=40))
        waiting.settled(volumes, clock, CREATING, 0.2, 100)
        assert volumes.asked_at_s == [pytest.approx(0.2), pytest.approx(40.2)]

    def test_an_error_that_stays_ends_the_wait(self):
        clock = FakeClock()
        volumes = Away(clock, 50, errors.Refused("no"))
        with pytest.raises(errors.Refused):
            waiting.settled(volumes, clock, CREATING, 0.2, 100)
        assert len(volumes.asked_at_s) == 1


class TestSystemClock:
    def test_the_time_never_goes_back(self):
        clock = SystemClock()
        before = clock.monotonic()
        clock.sleep(0)
        assert clock.monotonic() >= before
