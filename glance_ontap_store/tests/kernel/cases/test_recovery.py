# SPDX-License-Identifier: Apache-2.0
"""The whole store over real NFS and iSCSI, in processes that are killed.

Cinder is a fake one. What a killed process leaves in the kernel and in Cinder is
released by the recovery of the next process, which its first use starts.
"""

import pytest

from glance_ontap_store.tests.kernel import cinder
from glance_ontap_store.tests.kernel import guest
from glance_ontap_store.tests.kernel import host
from glance_ontap_store.tests.kernel.cinder import KernelCinder
from glance_ontap_store.tests.kernel.host import Host
from glance_ontap_store.tests.kernel.transfers import Eventful
from glance_ontap_store.tests.kernel.transfers import Striped
from glance_ontap_store.units import MIB

CONTENT = Striped(100 * MIB + 12)


@pytest.fixture(params=list(cinder.TYPES))
def kind(request):
    """A volume type."""
    return request.param


@pytest.fixture
def glance(kind, server, array, nothing_left):
    return Host(KernelCinder(array), kind)


def is_held(kind):
    """Whether the kernel has the mount or the device of a volume of that type."""
    protocol, _, version = kind.partition("-")
    if protocol == "nfs":
        return guest.spoken() == [version]
    return bool(guest.connected())


def test_what_a_killed_writer_left_is_released(glance, kind):
    content = Eventful(CONTENT, 60 * MIB, host.die)
    glance.dies(lambda store: host.upload(store, content))
    assert is_held(kind)
    glance.do(host.recover)
    assert glance.holdings() == set()


def test_what_a_killed_reader_left_is_released_and_the_image_stays(glance, kind):
    volume_id = glance.do(lambda store: host.upload(store, CONTENT))
    assert not guest.mounted()
    assert not guest.connected()

    def read(store):
        found, _size = store.images.read(volume_id, 0, None)
        next(found)
        host.die()

    glance.dies(read)
    assert is_held(kind)
    glance.do(host.recover)
    assert glance.holdings() == {f"volume {volume_id} available"}
    assert glance.do(lambda store: host.misread(store, volume_id, CONTENT)) is None
    glance.do(lambda store: store.images.delete(volume_id))
    assert glance.holdings() == set()
