# SPDX-License-Identifier: Apache-2.0
"""The rounds of recovery: when they are done, and that they start late."""

import os
import subprocess
import sys
import threading

from glance_store import multi_backend
import pytest

from glance_ontap_store import errors
from glance_ontap_store.recovery import judging
from glance_ontap_store.recovery import rounds
from glance_ontap_store.recovery.rounds import Member
from glance_ontap_store.recovery.rounds import Rounds
from glance_ontap_store.store import Store
from glance_ontap_store.tests.builders import upload
from glance_ontap_store.tests.fakes.cloud import PROJECT_OPTIONS
from glance_ontap_store.tests.fakes.cloud import TYPES
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.glance import Pattern

INTERVAL_S = 600


def member(cloud, interval_s=INTERVAL_S, unmount=lambda: None):
    return Member(cloud.recovery(), interval_s, unmount)


def made(cloud, *members, now=None):
    found = list(members) or [member(cloud)]
    return Rounds(lambda: found, cloud.clock.monotonic, now or (lambda: 0.0))


def die_reading(cloud, volume_id, store_id="fv1"):
    """Do in Cinder and on disk what a reader does until its process is killed."""
    other = cloud.another_process()
    handle = other.journal(store_id).attaching(volume_id)
    attachment_id = cloud.cinder.reserve(volume_id, "ro")
    handle.complete(attachment_id)
    mark = other.processes.own()
    connector = {"host": "glance-1", "mountpoint": mark.mountpoint}
    cloud.cinder.connect(volume_id, attachment_id, connector)
    cloud.cinder.complete(attachment_id)
    other.processes.close()


@pytest.fixture
def image(cloud):
    return cloud.lifecycle().store(upload()).volume_id


@pytest.fixture
def killed(cloud, image):
    """A process has died while it read the image."""
    die_reading(cloud, image)


def attachments(cloud, image):
    return cloud.cinder.attachments(image)


class TestRounds:
    def test_the_first_is_done_at_once_and_the_next_after_the_interval(
        self, cloud, image, killed
    ):
        recovery = made(cloud)
        assert recovery.work() == INTERVAL_S
        assert attachments(cloud, image) == []
        die_reading(cloud, image)
        assert 0 < recovery.work() <= INTERVAL_S
        assert len(attachments(cloud, image)) == 1
        cloud.clock.sleep(INTERVAL_S)
        recovery.work()
        assert attachments(cloud, image) == []

    def test_an_interval_of_0_means_none(self, cloud, image, killed):
        made(cloud, member(cloud, interval_s=0)).work()
        assert len(attachments(cloud, image)) == 1

    def test_one_process_at_a_time_does_them(self, cloud, image, killed):
        with cloud.another_process().processes.only_one() as is_mine:
            assert is_mine
            made(cloud).work()
            assert len(attachments(cloud, image)) == 1
        made(cloud).work()
        assert attachments(cloud, image) == []

    def test_one_that_failed_is_repeated_soon(self, cloud, image, killed):
        cloud.volumes.fail("search", errors.CinderUnreachable("away"), for_good=True)
        recovery = made(cloud)
        assert recovery.work() < INTERVAL_S

    def test_each_store_is_recovered(self, cloud):
        cloud.configure(
            {"fv1": "ontap", "fv2": "ontap"},
            {
                name: {
                    **PROJECT_OPTIONS,
                    "ontap_volume_type": f"ontap-{name}",
                    "ontap_mount_point_base": cloud.base,
                }
                for name in ("fv1", "fv2")
            },
        )
        read = []
        for name in ("fv1", "fv2"):
            new = upload(image_id=f"image-{name}")
            read.append(cloud.lifecycle(name, f"ontap-{name}").store(new).volume_id)
            die_reading(cloud, read[-1], name)
        Store.stores.rounds.work()
        for volume_id in read:
            assert attachments(cloud, volume_id) == []

    def test_what_is_left_is_tried_again_soon(self, cloud, image, killed):
        cloud.volumes.fail("detach", errors.Refused("no"), nth=1, for_good=True)
        recovery = made(cloud)
        assert recovery.work() < INTERVAL_S
        cloud.volumes._plans.clear()
        cloud.clock.sleep(60)
        recovery.work()
        assert attachments(cloud, image) == []


class TestForgetting:
    def tokens(self, cloud):
        return cloud.processes.dead()

    def test_a_dead_process_is_known_as_long_as_something_can_come(
        self, cloud, image, killed
    ):
        (token,) = self.tokens(cloud)
        changed_at = cloud.processes.changed_at(token)
        made(cloud, now=lambda: changed_at + rounds.KEEP_S - 60).work()
        assert self.tokens(cloud) == [token]
        made(cloud, now=lambda: changed_at + rounds.KEEP_S + 600).work()
        assert self.tokens(cloud) == []

    def test_one_is_known_while_a_store_was_not_looked_at(self, cloud, image, killed):
        late = cloud.processes.changed_at(self.tokens(cloud)[0]) + rounds.KEEP_S + 600
        other = Member(cloud.recovery("fv2"), 0, lambda: None)
        made(cloud, member(cloud), other, now=lambda: late).work()
        assert len(self.tokens(cloud)) == 1

    def test_one_is_known_while_its_journal_has_an_entry(self, cloud, image):
        other = cloud.another_process()
        other.journal("not configured here").attaching(image)
        other.processes.close()
        late = cloud.processes.changed_at(self.tokens(cloud)[0]) + rounds.KEEP_S + 600
        made(cloud, now=lambda: late).work()
        assert len(self.tokens(cloud)) == 1


class TestOwnList:
    @pytest.fixture
    def left(self, cloud, image):
        """An attachment that this process could not release."""
        stream, _size = cloud.lifecycle().read(image, 0, None)
        away = errors.CinderUnreachable("away")
        cloud.volumes.fail("detach", away, for_good=True)
        stream.close()

    def heal(self, cloud):
        cloud.volumes._plans.clear()

    def test_it_is_tried_again_with_pauses_that_grow(self, cloud, image, left):
        recovery = made(cloud, member(cloud, interval_s=0))
        pauses = []
        for _try in range(12):
            pauses.append(recovery.work())
            cloud.clock.sleep(pauses[-1])
        assert pauses[0] <= 1
        assert 100 < pauses[-1] <= 300
        self.heal(cloud)
        recovery.work()
        assert attachments(cloud, image) == []
        assert cloud.journal().left() == []

    def test_it_is_not_tried_before_its_time(self, cloud, image, left):
        recovery = made(cloud, member(cloud, interval_s=0))
        recovery.work()
        self.heal(cloud)
        recovery.work()
        assert len(attachments(cloud, image)) == 1

    def test_a_new_entry_wakes_the_thread(self, cloud):
        woken = threading.Event()
        cloud.journal().on_left = woken.set
        cloud.journal().attaching("v").leave()
        assert woken.is_set()

    def test_the_next_process_releases_it(self, cloud, image, left):
        self.heal(cloud)
        cloud.processes.close()
        made(cloud.another_process()).work()
        assert attachments(cloud, image) == []


@pytest.mark.parametrize("tries", range(20))
def test_a_pause_is_between_half_a_second_and_5_minutes(tries):
    assert 0.5 <= judging.pause_s(tries) <= 300


class TestMounts:
    def test_those_of_dead_processes_are_unmounted(self, cloud, image):
        child = os.fork()
        if child == 0:
            cloud.mounts.use(TYPES["ontap-fv1"].export, "")
            os._exit(0)
        os.waitpid(child, 0)
        assert cloud.mounter.mounted()
        recovery = made(cloud, member(cloud, unmount=cloud.mounts.clean_up))
        recovery.work()
        recovery.join_unmounting()
        assert not cloud.mounter.mounted()

    def test_a_server_that_is_away_stops_nothing(self, cloud, image, killed):
        hangs, calls = threading.Event(), []

        def unmount():
            calls.append(1)
            hangs.wait(60)

        recovery = made(cloud, member(cloud, unmount=unmount))
        for _round in range(3):
            recovery.work()
            cloud.clock.sleep(INTERVAL_S)
        assert attachments(cloud, image) == []
        assert len(calls) == 1
        hangs.set()
        recovery.join_unmounting()

    def test_a_failure_is_logged(self, cloud, image, killed, caplog):
        def unmount():
            raise errors.Broken("busy")

        recovery = made(cloud, member(cloud, unmount=unmount))
        recovery.work()
        recovery.join_unmounting()
        assert "busy" in caplog.text


class TestThread:
    def options(self, cloud):
        return {
            "fv1": {
                **PROJECT_OPTIONS,
                "ontap_volume_type": "ontap-fv1",
                "ontap_mount_point_base": cloud.base,
            }
        }

    def test_loading_the_store_starts_nothing_and_makes_no_file(self, cloud):
        before = threading.active_count()
        cloud.configure({"fv1": "ontap"}, self.options(cloud))
        assert threading.active_count() == before
        assert not os.path.exists(cloud.base)
        assert Store.stores.rounds.thread is None

    def test_the_first_request_starts_one_thread(self, cloud):
        recovery = made(cloud, member(cloud, interval_s=0))
        recovery.begin()
        thread = recovery.thread
        recovery.begin()
        assert recovery.thread is thread
        assert thread.is_alive()
        assert thread.daemon

    def test_without_a_store_none_is_started(self):
        recovery = Rounds(list)
        recovery.begin()
        assert recovery.thread is None

    def test_a_forked_process_starts_its_own(self, cloud):
        recovery = made(cloud, member(cloud, interval_s=0))
        recovery.begin()
        child = os.fork()
        if child == 0:
            recovery.begin()
            is_own = recovery.thread is not None and recovery.thread.is_alive()
            os._exit(0 if is_own else 1)
        assert os.waitpid(child, 0)[1] == 0

    def test_an_error_does_not_end_it(self, cloud, caplog):
        failed = threading.Event()

        def members():
            is_thread = threading.current_thread() is not threading.main_thread()
            # Once: the thread outlives the test, and is to do nothing then.
            if is_thread and not failed.is_set():
                failed.set()
                raise RuntimeError("unforeseen")
            return [member(cloud, interval_s=0)]

        recovery = Rounds(members)
        recovery.begin()
        assert failed.wait(10)
        assert recovery.thread.is_alive()
        recovery.wake()

    def test_a_request_starts_the_recovery_of_all_stores(self, cloud, image, killed):
        cloud.configure({"fv1": "ontap"}, self.options(cloud))
        stores = Store.stores
        stores.recovers = True
        released = threading.Event()
        detach = cloud.cinder.detach

        def detach_and_tell(attachment_id):
            detach(attachment_id)
            released.set()

        cloud.cinder.detach = detach_and_tell
        store = multi_backend.get_store_from_store_identifier("fv1")
        store.add("image-2", OnePass(Pattern(10)), 10, "sha256")
        assert released.wait(30)


_EVENTLET = """
import eventlet
eventlet.monkey_patch()
import sys, time
from glance_ontap_store.recovery.rounds import Rounds
worked = []
class Rounding(Rounds):
    def work(self):
        worked.append(1)
        return 0.01
rounds = Rounding(lambda: [1])
rounds.begin()
for _time in range(1000):
    time.sleep(0.01)
    if len(worked) > 2:
        sys.exit(0)
sys.exit("the green thread did not run")
"""


def test_it_works_under_eventlet():
    subprocess.run([sys.executable, "-W", "ignore", "-c", _EVENTLET], check=True)
