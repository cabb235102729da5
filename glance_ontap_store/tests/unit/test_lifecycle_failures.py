# SPDX-License-Identifier: Apache-2.0
"""Each step of an upload and a download fails in turn, and nothing may be left.

The first failure is raised, and a failure of the clean-up is a note on it.
"""

import contextlib
import errno
import os

import pytest

from glance_ontap_store import errors
from glance_ontap_store import units
from glance_ontap_store.images.filling import Upload
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.tests.builders import SIZE
from glance_ontap_store.tests.builders import UPLOAD_CALLS
from glance_ontap_store.tests.builders import First
from glance_ontap_store.tests.builders import assert_nothing_is_left
from glance_ontap_store.tests.builders import upload
from glance_ontap_store.tests.fakes.faulty import Faulty
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.glance import Pattern


@pytest.fixture(autouse=True)
def extended(monkeypatch):
    """An image of unknown size is found to need 2 GiB, so that it is extended."""
    monkeypatch.setattr(units, "gib_for", lambda size: 2 if size else 1)


class FaultyAttacher:
    """The real attacher, whose devices can fail."""

    def __init__(self, inner):
        self._inner = inner
        self.plans = []
        self.device_calls = []

    @contextlib.contextmanager
    def writable(self, volume):
        with self._inner.writable(volume) as opened:
            yield self._wrap(opened)

    @contextlib.contextmanager
    def readable(self, volume_id, known_raw, wait_s, size_gib=None):
        with self._inner.readable(volume_id, known_raw, wait_s) as opened:
            yield self._wrap(opened)

    @contextlib.contextmanager
    def beside(self, volume, neighbour, known_raw):
        with self._inner.beside(volume, neighbour, known_raw) as opened:
            yield self._wrap(opened)

    def _wrap(self, opened):
        device = Faulty(opened)
        device.calls = self.device_calls
        for plan in self.plans:
            device.fail(*plan)
        return device


@pytest.fixture
def attacher(cloud):
    return FaultyAttacher(cloud.attacher())


@pytest.fixture
def images(cloud, attacher):
    return cloud.lifecycle(attacher=attacher)


class TestUpload:
    def test_the_calls_below_are_all_calls_to_cinder(self, cloud, images):
        images.store(upload())
        assert set(cloud.volumes.calls) == {name for name, _nth in UPLOAD_CALLS}
        assert cloud.volumes.calls.count("get") == 3

    @pytest.mark.parametrize(("name", "nth"), UPLOAD_CALLS)
    @pytest.mark.parametrize(
        "is_done", [False, True], ids=["not done", "done, answer lost"]
    )
    @pytest.mark.parametrize(
        "error", [First("first"), errors.CinderUnreachable("first")], ids=repr
    )
    def test_a_failed_call_to_cinder_leaves_nothing(
        self, cloud, images, name, nth, is_done, error
    ):
        cloud.volumes.fail(name, error, nth=nth, done=is_done)
        with pytest.raises(type(error)) as caught:
            images.store(upload())
        assert caught.value is error
        assert_nothing_is_left(cloud)

    @pytest.mark.parametrize(
        ("name", "error"),
        [
            ("reserve", errors.ImageVolumeInUse("first")),
            ("extend", errors.NoSpace("first")),
            ("create", errors.NoSpace("first")),
            ("create", errors.Misconfigured("first")),
            ("set_readonly", errors.Refused("first")),
        ],
    )
    def test_a_refused_call_to_cinder_leaves_nothing(self, cloud, images, name, error):
        cloud.volumes.fail(name, error)
        with pytest.raises(type(error)) as caught:
            images.store(upload())
        assert caught.value is error
        assert_nothing_is_left(cloud)

    def test_an_attachment_that_was_taken_back_is_no_volume_that_is_gone(
        self, cloud, images
    ):
        """Glance would forget where the image lies."""
        cloud.volumes.fail("complete", errors.ImageVolumeGone("no attachment"))
        with pytest.raises(errors.ImageVolumeInUse, match="Try again") as caught:
            images.store(upload())
        assert "no attachment" in str(caught.value.__cause__)
        assert_nothing_is_left(cloud)

    @pytest.mark.parametrize("name", ["set_readonly", "set_metadata"])
    def test_upstream_a_failed_last_step_leaves_no_full_volume(
        self, cloud, images, name
    ):
        cloud.volumes.fail(name, First("first"))
        with pytest.raises(First):
            images.store(upload())
        assert_nothing_is_left(cloud)

    def test_upstream_a_failed_refetch_leaves_no_attachment(self, cloud, images):
        cloud.volumes.fail("complete", First("first"), done=True)
        with pytest.raises(First):
            images.store(upload())
        assert_nothing_is_left(cloud)

    @pytest.mark.parametrize(
        "name", ["is_blank", "write_at", "length", "ensure", "sync"]
    )
    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            (errno.ENOSPC, errors.NoSpace),
            (errno.EACCES, errors.WriteDenied),
            (errno.EIO, errors.Broken),
        ],
    )
    def test_a_failed_call_of_the_device_leaves_nothing(
        self, cloud, images, attacher, name, code, expected
    ):
        attacher.plans.append((name, OSError(code, os.strerror(code))))
        with pytest.raises(expected, match=os.strerror(code)):
            images.store(upload())
        assert_nothing_is_left(cloud)

    def test_the_calls_above_are_all_calls_of_the_device(self, images, attacher):
        images.store(upload())
        # ``forget`` is advice, and never an error.
        assert set(attacher.device_calls) - {"forget"} == {
            "is_blank",
            "write_at",
            "length",
            "ensure",
            "sync",
        }

    @pytest.mark.parametrize("fault", ["refuses", "lies"])
    def test_a_failed_mount_leaves_nothing(self, cloud, images, fault):
        setattr(cloud.mounter, fault, True)
        with pytest.raises(errors.Broken):
            images.store(upload())
        assert_nothing_is_left(cloud)

    def test_a_missing_file_leaves_nothing(self, cloud, images):
        connect = cloud.cinder.connect

        def connect_and_lose(volume_id, attachment_id, connector):
            path = cloud.cinder.path_of(volume_id)
            os.rename(path, f"{path}.away")
            cloud.clock.at(0.1, lambda: os.rename(f"{path}.away", path))
            return connect(volume_id, attachment_id, connector)

        cloud.cinder.connect = connect_and_lose
        with pytest.raises(errors.Broken, match="has no file"):
            images.store(upload())
        # The fake deletes the file with the volume.
        cloud.clock.sleep(1)
        assert_nothing_is_left(cloud)

    def test_a_failed_unmount_is_not_an_error(self, cloud, images):
        """The data are on the array, and the next user of the mount tries again."""
        cloud.mounter.keeps = True
        stored = images.store(upload())
        assert cloud.mounter.mounted()
        cloud.mounter.keeps = False
        stream, _size = images.read(stored.volume_id, 0, None)
        assert b"".join(stream) == Pattern(SIZE).at(0, SIZE)
        assert not cloud.mounter.mounted()


class TestFailedCleanUp:
    """A clean-up that fails for ever leaves something, which the error names."""

    @pytest.mark.parametrize("name", ["delete", "detach"])
    def test_the_first_error_is_raised_with_notes(
        self, cloud, images, attacher, name, caplog
    ):
        attacher.plans.append(("sync", OSError(errno.EIO, "first")))
        cloud.volumes.fail(name, errors.CinderUnreachable("second"), for_good=True)
        with pytest.raises(errors.Broken, match="first") as caught:
            images.store(upload())
        assert type(caught.value) is errors.Broken
        assert "second" not in str(caught.value)
        assert "second" in errors.describe(caught.value)
        assert "second" in caplog.text
        (volume,) = cloud.cinder.find("image-image-1")
        assert volume.id in errors.describe(caught.value)

    def test_a_volume_that_stays_is_marked_as_unfinished(self, cloud, images):
        cloud.volumes.fail("set_metadata", First("first"))
        cloud.volumes.fail("delete", errors.Broken("second"), for_good=True)
        with pytest.raises(First):
            images.store(upload())
        (volume,) = cloud.cinder.find("image-image-1")
        assert Record.parse(volume.metadata).state is State.FILLING

    def test_a_lost_create_that_cannot_be_searched_names_the_volume(
        self, cloud, images
    ):
        cloud.volumes.fail("create", errors.CinderUnreachable("first"), done=True)
        cloud.volumes.fail("find", errors.CinderUnreachable("second"), for_good=True)
        with pytest.raises(errors.CinderUnreachable, match="first") as caught:
            images.store(upload())
        assert "image-image-1" in errors.describe(caught.value)

    def test_a_lost_create_deletes_no_other_upload_of_the_image(self, cloud, images):
        """A copy (copy-image) and a retry have volumes with the same name."""
        other = images.store(upload())
        cloud.volumes.fail("create", errors.CinderUnreachable("first"), done=True)
        with pytest.raises(errors.CinderUnreachable):
            images.store(upload())
        cloud.clock.sleep(60)
        assert [volume.id for volume in cloud.cinder.find("image-image-1")] == [
            other.volume_id
        ]

    def test_a_volume_that_stays_busy_is_a_note(self, cloud, images):
        cloud.volumes.fail("set_readonly", First("first"))
        cloud.volumes.fail("delete", errors.ImageVolumeInUse("busy"), for_good=True)
        with pytest.raises(First) as caught:
            images.store(upload())
        assert "stays" in errors.describe(caught.value)

    @pytest.mark.parametrize(
        "answer",
        [errors.ImageVolumeGone("gone"), errors.ImageVolumeInUse("deleting")],
        ids=repr,
    )
    def test_a_clean_up_whose_answer_was_lost_has_succeeded(
        self, cloud, images, answer
    ):
        """The client repeats the request, and Cinder refuses the second one."""
        cloud.volumes.fail("set_readonly", First("first"))
        cloud.volumes.fail("delete", answer, done=True)
        with pytest.raises(First) as caught:
            images.store(upload())
        assert errors.describe(caught.value) == "first"
        assert_nothing_is_left(cloud)


class TestInterrupted:
    @pytest.mark.parametrize(
        "error", [KeyboardInterrupt(), SystemExit(), GeneratorExit()]
    )
    def test_an_interrupted_upload_leaves_nothing(self, cloud, images, error):
        """A worker is told to stop, or a greenlet is killed."""

        class Stopped(OnePass):
            def read(self, size):
                raise error

        with pytest.raises(type(error)):
            images.store(Upload("image-1", "acme", Stopped(Pattern(5)), 0, "md5"))
        assert_nothing_is_left(cloud)


DOWNLOAD_CALLS = ["get", "reserve", "connect", "complete"]


class TestDownload:
    @pytest.fixture
    def stored(self, cloud, images):
        found = images.store(upload())
        cloud.volumes.calls.clear()
        return found

    def test_the_calls_below_are_all_calls_to_cinder(self, cloud, images, stored):
        stream, _size = images.read(stored.volume_id, 0, None)
        assert cloud.volumes.calls == DOWNLOAD_CALLS
        stream.close()
        assert cloud.volumes.calls == [*DOWNLOAD_CALLS, "detach"]

    @pytest.mark.parametrize(
        ("name", "is_done"),
        [
            ("get", False),
            ("reserve", False),
            ("reserve", True),
            ("connect", False),
            ("connect", True),
            ("complete", False),
            ("complete", True),
        ],
    )
    def test_a_failed_call_to_cinder_leaves_nothing(
        self, cloud, images, stored, name, is_done
    ):
        before = cloud.holdings()
        error = errors.CinderUnreachable("first")
        cloud.volumes.fail(name, error, done=is_done)
        with pytest.raises(errors.CinderUnreachable) as caught:
            images.read(stored.volume_id, 0, None)
        assert caught.value is error
        assert cloud.holdings() == before

    @pytest.mark.parametrize("fault", ["refuses", "lies"])
    def test_a_failed_mount_leaves_nothing(self, cloud, images, stored, fault):
        before = cloud.holdings()
        setattr(cloud.mounter, fault, True)
        with pytest.raises(errors.Broken):
            images.read(stored.volume_id, 0, None)
        assert cloud.holdings() == before

    def test_the_first_of_two_errors_is_raised(self, cloud, images, stored):
        cloud.volumes.fail("complete", errors.CinderUnreachable("first"))
        cloud.volumes.fail("detach", errors.CinderUnreachable("second"))
        with pytest.raises(errors.CinderUnreachable, match="first") as caught:
            images.read(stored.volume_id, 0, None)
        assert "second" in errors.describe(caught.value)

    def test_a_failed_detach_after_the_last_byte_is_logged(
        self, cloud, images, stored, caplog
    ):
        """The reader has the whole image."""
        cloud.volumes.fail("detach", errors.CinderUnreachable("second"))
        stream, _size = images.read(stored.volume_id, 0, None)
        assert b"".join(stream) == Pattern(SIZE).at(0, SIZE)
        assert "second" in caplog.text
        assert not cloud.mounter.mounted()


class TestDeletion:
    @pytest.mark.parametrize("name", ["get", "delete"])
    def test_a_failed_call_to_cinder_leaves_nothing(self, cloud, images, name):
        def delete():
            images.record_to_delete(stored.volume_id)
            images.delete(stored.volume_id)

        stored = images.store(upload())
        cloud.volumes.fail(name, errors.CinderUnreachable("first"))
        with pytest.raises(errors.CinderUnreachable, match="first"):
            delete()
        delete()
        assert_nothing_is_left(cloud)

    def test_upstream_size_of_an_unreachable_volume_is_an_error(self, cloud, images):
        """Upstream answered 0."""
        stored = images.store(upload())
        cloud.volumes.fail("get", errors.CinderUnreachable("first"))
        with pytest.raises(errors.CinderUnreachable):
            images.describe(stored.volume_id)
