# SPDX-License-Identifier: Apache-2.0
"""Repetition of requests after failures that may pass."""

from concurrent import futures
import datetime
import itertools

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_ontap_store import errors
from glance_ontap_store.cinder import outage
from glance_ontap_store.cinder import patience
from glance_ontap_store.cinder import translate
from glance_ontap_store.cinder.patience import Patience
from glance_ontap_store.errors import Doubt
from glance_ontap_store.errors import Transient
from glance_ontap_store.tests.fakes.clock import FakeClock


def passing(retry_after_s=0.0):
    error = errors.Broken("busy")
    error.transient = Transient(Doubt.OVER, retry_after_s)
    return error


class Service:
    """Fails some times, or until a time of the clock, and answers then."""

    def __init__(self, clock, failures=0, until_s=0.0, error=None):
        self._clock = clock
        self._begun = clock.monotonic()
        self._failures = failures
        self._until_s = until_s
        self._error = error
        self.asked_at_s = []

    def get(self, volume_id):
        passed_s = self._clock.monotonic() - self._begun
        self.asked_at_s.append(passed_s)
        if len(self.asked_at_s) <= self._failures or passed_s < self._until_s:
            raise self._error or passing()
        return volume_id

    create = get


def ask(service, clock, limits, name="get"):
    return getattr(patience.patient(service, clock, limits), name)("v-1")


@pytest.fixture
def clock():
    return FakeClock()


class TestRepeat:
    def test_an_answer_needs_no_repetition(self, clock):
        service = Service(clock)
        assert ask(service, clock, Patience(300)) == "v-1"
        assert service.asked_at_s == [0]

    def test_an_outage_that_ends_in_time_is_survived(self, clock):
        assert ask(Service(clock, until_s=299), clock, Patience(300)) == "v-1"

    @given(st.floats(min_value=0.01, max_value=1000))
    def test_the_last_try_is_at_the_deadline(self, timeout_s):
        clock = FakeClock()
        service = Service(clock, failures=10**6)
        with pytest.raises(errors.Broken, match="busy"):
            ask(service, clock, Patience(timeout_s))
        assert service.asked_at_s[-1] == pytest.approx(timeout_s)

    def test_pauses_grow_and_stay_below_eleven_seconds(self, clock):
        service = Service(clock, failures=10**6)
        with pytest.raises(errors.Broken):
            ask(service, clock, Patience(1000))
        asked = service.asked_at_s
        pauses = [b - a for a, b in itertools.pairwise(asked)][:-1]
        for number, pause in enumerate(pauses):
            shortest = min(0.5 * 2**number, 10)
            assert shortest <= pause <= min(shortest + 0.5, 10.5)

    def test_two_hosts_do_not_come_back_at_the_same_times(self):
        moments = []
        for _host in range(2):
            clock = FakeClock()
            service = Service(clock, failures=5)
            ask(service, clock, Patience(300))
            moments.append(service.asked_at_s)
        assert moments[0] != moments[1]

    def test_a_service_is_not_asked_before_the_time_it_wished(self, clock):
        service = Service(clock, failures=1, error=passing(retry_after_s=60))
        ask(service, clock, Patience(300))
        assert service.asked_at_s == [0, 60]

    def test_a_wished_time_does_not_move_the_deadline(self, clock):
        service = Service(clock, failures=1, error=passing(retry_after_s=3600))
        ask(service, clock, Patience(300))
        assert service.asked_at_s == [0, 300]

    @pytest.mark.parametrize("retries", [0, 1, 4])
    def test_brief_patience_has_a_number_of_tries(self, clock, retries):
        service = Service(clock, failures=10**6)
        with pytest.raises(errors.Broken):
            ask(service, clock, Patience.brief(retries))
        assert len(service.asked_at_s) == 1 + retries

    def test_brief_patience_waits_for_no_long_wish(self, clock):
        service = Service(clock, failures=10**6, error=passing(retry_after_s=600))
        with pytest.raises(errors.Broken):
            ask(service, clock, Patience.brief(3))
        assert service.asked_at_s == [0, 30]

    def test_a_failure_that_stays_is_not_repeated(self, clock):
        refusal = errors.Refused("no")
        service = Service(clock, failures=5, error=refusal)
        with pytest.raises(errors.Refused) as caught:
            ask(service, clock, Patience(300))
        assert caught.value is refusal
        assert not refusal.is_last_of_many
        assert service.asked_at_s == [0]

    def test_the_last_failure_tells_the_number_of_tries(self, clock):
        with pytest.raises(errors.Broken) as caught:
            ask(Service(clock, failures=9), clock, Patience.brief(2))
        assert "tried 3 times" in errors.describe(caught.value)
        assert caught.value.is_last_of_many

    def test_each_repetition_is_logged_with_its_cause(self, clock, caplog):
        ask(Service(clock, failures=1), clock, Patience(300))
        assert "busy" in caplog.text

    def test_a_request_that_makes_something_is_sent_once(self, clock):
        service = Service(clock, failures=1)
        with pytest.raises(errors.Broken):
            ask(service, clock, Patience(300), "create")
        assert service.asked_at_s == [0]

    def test_an_interruption_is_not_repeated(self, clock):
        service = Service(clock, failures=1, error=KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            ask(service, clock, Patience(300))
        assert service.asked_at_s == [0]


class TestOperation:
    """Requests of one operation to a service that is away since *clock*'s start."""

    @pytest.fixture
    def away(self, clock):
        """Ask a service that never answers; the seconds that it took."""

        def away():
            begun = clock.monotonic()
            with pytest.raises(errors.Broken):
                ask(Service(clock, failures=10**6), clock, Patience(300))
            return clock.monotonic() - begun

        return away

    def test_work_and_clean_up_wait_once_each(self, away):
        with outage.operation(300):
            assert [away() for _request in range(5)] == [300, 300, 0, 0, 0]

    def test_without_an_operation_each_request_waits(self, away):
        assert [away(), away(), away()] == [300, 300, 300]

    def test_the_next_operation_waits_anew(self, away):
        for _number in range(2):
            with outage.operation(300):
                assert [away(), away(), away()] == [300, 300, 0]

    def test_an_operation_within_another_is_a_part_of_it(self, away):
        with outage.operation(300):
            with outage.operation(300):
                assert away() == 300
            assert [away(), away()] == [300, 0]

    def test_two_outages_share_the_time(self, clock, away):
        with outage.operation(300):
            ask(Service(clock, failures=1, error=passing(100)), clock, Patience(300))
            assert away() == pytest.approx(200)

    def test_requests_that_succeed_take_no_time_from_it(self, clock, away):
        with outage.operation(300):
            for _number in range(3):
                patience.repeat(clock, Patience(300), lambda: clock.sleep(100))
            assert away() == 300

    def test_a_transfer_begins_it_anew(self, away):
        with outage.operation(300):
            waits = [away(), away(), away()]
            outage.renew()
            assert [*waits, away(), away(), away()] == [300, 300, 0] * 2

    def test_a_repetition_within_another_counts_once(self, clock, away):
        def action():
            ask(Service(clock, failures=1, error=passing(50)), clock, Patience(300))

        with outage.operation(300):
            patience.repeat(clock, Patience(300), action)
            assert away() == pytest.approx(250)

    def test_a_repetition_within_another_ends_with_the_operation(self, clock, away):
        with outage.operation(300):
            with pytest.raises(errors.Broken):
                patience.repeat(clock, Patience(900), away_within(clock))
            assert [away(), away()] == [300, 0]

    def test_a_refusal_takes_no_time_from_it(self, clock, away):
        def refused():
            clock.sleep(100)
            raise errors.Refused("no")

        with outage.operation(300):
            with pytest.raises(errors.Refused):
                patience.repeat(clock, Patience(300), refused)
            assert away() == 300

    def test_other_threads_have_their_own(self, away):
        with outage.operation(300), futures.ThreadPoolExecutor(1) as pool:
            assert [away(), away()] == [300, 300]
            assert pool.submit(away).result() == 300


def away_within(clock):
    service = Service(clock, failures=10**6)
    return lambda: ask(service, clock, Patience(300))


NOW = datetime.datetime(2026, 1, 31, 12, 0, 0, tzinfo=datetime.timezone.utc)


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("", 0),
            ("0", 0),
            (" 17 ", 17),
            ("Sat, 31 Jan 2026 12:01:30 GMT", 90),
            ("Sat, 31 Jan 2026 11:59:00 GMT", 0),
            ("Sat, 31 Jan 2026 12:01:30 -0000", 90),
            ("soon", 0),
            ("-5", 0),
            ("1.5", 0),
        ],
    )
    def test_seconds_and_dates_are_read(self, text, seconds):
        assert translate.retry_after_s(text, NOW) == seconds

    @given(st.text())
    def test_no_text_is_an_error(self, text):
        assert translate.retry_after_s(text, NOW) >= 0
