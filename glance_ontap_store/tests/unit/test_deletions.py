# SPDX-License-Identifier: Apache-2.0
"""The answer to each deletion; doc/source/admin/operate.rst has the same table."""

from glance_store import exceptions
import pytest

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.liveness.marks import Mark
from glance_ontap_store.tests.builders import OTHER_ID
from glance_ontap_store.tests.builders import VOLUME_ID
from glance_ontap_store.tests.fakes.glance import Context
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.glance import Pattern

OWNER = "acme"
# Glance's answer is 204 for None and for NotFound, which it takes for done.
GONE = exceptions.NotFound
IN_USE = exceptions.InUseByStore


@pytest.fixture
def rig(cloud):
    return cloud.rig()


def attach(cloud, volume_id, mark):
    attachment_id = cloud.cinder.reserve(volume_id, "ro")
    connector = {"host": "h", "mountpoint": mark.mountpoint}
    cloud.cinder.connect(volume_id, attachment_id, connector)
    cloud.cinder.complete(attachment_id)
    return attachment_id


def live_reader(cloud, volume_id):
    attach(cloud, volume_id, cloud.another_process().processes.own())


def live_reader_that_ends(cloud, volume_id):
    mark = cloud.another_process().processes.own()
    attachment_id = attach(cloud, volume_id, mark)
    cloud.clock.at(5, lambda: cloud.cinder.detach(attachment_id))


def dead_reader(cloud, volume_id):
    other = cloud.another_process()
    attach(cloud, volume_id, other.processes.own())
    other.processes.close()


def reader_of_another_host(cloud, volume_id):
    attach(cloud, volume_id, Mark(VOLUME_ID, OTHER_ID))


def clone_in_progress(cloud, volume_id):
    cloud.cinder.create(NewVolume("clone", 1, None, {}, source_id=volume_id))


def deleting(cloud, volume_id):
    cloud.cinder.delete(volume_id)


def gone(cloud, volume_id):
    cloud.cinder.delete(volume_id)
    cloud.clock.sleep(60)


def status(text):
    def change(cloud, volume_id):
        cloud.cinder.set_status(volume_id, text)

    return change


def metadata(**changes):
    def change(cloud, volume_id):
        cloud.cinder.set_metadata(volume_id, changes)

    return change


def no_image(cloud, volume_id):
    cloud.cinder.drop_metadata(volume_id, "glance_image_id", "image_owner")


CASES = {
    "free": (lambda cloud, volume_id: None, None),
    "read by a live process": (live_reader, IN_USE),
    "read by a live process that ends": (live_reader_that_ends, None),
    "attached by a dead process": (dead_reader, None),
    "attached by another host": (reader_of_another_host, IN_USE),
    "clone in progress": (clone_in_progress, None),
    "snapshot": (
        lambda cloud, id_: cloud.cinder.take_snapshot(id_),
        exceptions.HasSnapshot,
    ),
    "maintenance": (status("maintenance"), IN_USE),
    "error": (status("error"), None),
    "error_deleting": (status("error_deleting"), None),
    "being deleted": (deleting, GONE),
    "gone": (gone, GONE),
    "size": (metadata(image_size="abc"), None),
    "state": (metadata(ontap_state="banana"), None),
    "format": (metadata(ontap_format="9"), None),
    "another store's": (metadata(ontap_store="fv2"), exceptions.Forbidden),
    "no image-volume": (no_image, exceptions.Forbidden),
}


@pytest.mark.parametrize("is_admin", [True, False])
@pytest.mark.parametrize(("change", "raised"), CASES.values(), ids=CASES)
def test_the_answer_to_a_deletion(cloud, rig, change, raised, is_admin):
    context = Context(OWNER, is_admin)
    url = rig.store.add(
        "image-1", OnePass(Pattern(5000)), 5000, "sha256", context=context
    )[0]
    volume_id = url.rpartition("/")[2]
    change(cloud, volume_id)
    location = rig.location(url)
    if raised is None:
        rig.store.delete(location, context=context)
        cloud.clock.sleep(60)
        with pytest.raises(errors.ImageVolumeGone):
            cloud.cinder.get(volume_id)
    else:
        with pytest.raises(raised):
            rig.store.delete(location, context=context)


def test_a_user_of_another_project_may_not(cloud, rig):
    url = rig.store.add(
        "image-1", OnePass(Pattern(5000)), 5000, "sha256", context=Context(OWNER)
    )[0]
    with pytest.raises(exceptions.Forbidden):
        rig.store.delete(rig.location(url), context=Context("globex"))
