# SPDX-License-Identifier: Apache-2.0
"""A real NFS server that goes away, refuses or is full while an image is written."""

import os

from glance_store import exceptions
import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach.nfs.mounter import NfsMounter
from glance_ontap_store.attach.nfs.mounts import Mounts
from glance_ontap_store.attach.nfs.transport import NfsTransport
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.tests.kernel import guest
from glance_ontap_store.tests.kernel import transfers
from glance_ontap_store.tests.kernel.nfs import VERSIONS
from glance_ontap_store.tests.kernel.transfers import Eventful
from glance_ontap_store.transfer.stream import ImageStream
from glance_ontap_store.units import GIB
from glance_ontap_store.units import MIB
from glance_ontap_store.units import ByteRange

EACH = pytest.mark.parametrize("version", VERSIONS)
# An ordinary user.
CINDER = 64061
SOFT = "soft,timeo=20,retrans=1"


@pytest.fixture
def upload(server, nfs):
    """Uploads 120 MiB to a new volume; *event* happens at the half of it."""

    def uploaded(options, event, export="large"):
        server.create(export, "volume-1")
        content = Eventful(Pattern(120 * MIB), 60 * MIB, event)
        info = server.info(export, "volume-1", options)
        with nfs.opened(info, "rw") as device:
            transfers.write(device, content)
        assert content.has_happened
        return transfers.difference(server.path(export, "volume-1"), content)

    return uploaded


@EACH
def test_an_upload_waits_for_a_server_and_goes_on(server, upload, version):
    assert upload(f"vers={version}", lambda: server.pause(6)) is None


@EACH
def test_an_upload_with_the_option_soft_fails_when_the_server_is_away(
    server, upload, version
):
    with pytest.raises(errors.Broken, match="Input/output error"):
        upload(f"vers={version},{SOFT}", lambda: server.pause(20))


@EACH
def test_an_upload_fails_when_its_export_is_withdrawn(server, upload, version):
    with pytest.raises(errors.Broken, match="Stale file handle"):
        upload(f"vers={version}", lambda: server.withdraw("large"))


@EACH
def test_an_upload_fails_when_its_export_becomes_read_only(server, upload, version):
    with pytest.raises(errors.WriteDenied, match="export policy"):
        upload(f"vers={version}", lambda: server.protect("large"))


@EACH
def test_an_upload_fails_when_the_flexvol_is_full(server, nfs, version):
    server.create("small", "volume-1")
    info = server.info("small", "volume-1", f"vers={version}")
    with pytest.raises(errors.NoSpace, match="full"):
        with nfs.opened(info, "rw") as device:
            transfers.write(device, Pattern(500 * MIB))


@EACH
def test_a_file_that_becomes_full_at_its_end_fails_too(server, nfs, version):
    """The last bytes are refused by fsync, since nothing was sent before."""
    server.create("small", "volume-1")
    rest = os.statvfs("/srv/ns/small")
    server.fill("small", rest.f_bavail * rest.f_bsize - 4 * MIB)
    info = server.info("small", "volume-1", f"vers={version}")
    with pytest.raises(errors.NoSpace, match="full"):
        with nfs.opened(info, "rw") as device:
            transfers.write(device, Pattern(12 * MIB))


@EACH
def test_an_export_that_is_not_there_is_named(server, nfs, version):
    info = server.info("missing", "volume-1", f"vers={version}")
    with pytest.raises(errors.Broken, match=r"127\.0\.0\.1:/missing cannot be mounted"):
        with nfs.opened(info, "rw"):
            pass


@EACH
def test_a_volume_without_its_file_is_named(server, nfs, version):
    info = server.info("large", "volume-1", f"vers={version}")
    with pytest.raises(errors.FileMissing, match="volume-1"):
        with nfs.opened(info, "ro"):
            pass


@EACH
def test_a_read_only_export_is_not_opened_for_writing(server, nfs, version):
    # Not root's: with NFS 3, the store tries to open it as its owner.
    os.chown(server.create("large", "volume-1"), CINDER, CINDER)
    server.protect("large")
    info = server.info("large", "volume-1", f"vers={version}")
    with pytest.raises(errors.WriteDenied, match="export policy"):
        with nfs.opened(info, "rw"):
            pass


def test_a_download_fails_when_its_volume_is_deleted(server, nfs):
    """With NFS 3: this server keeps a file that a client of NFS 4 has open."""
    path = server.create("large", "volume-1")
    info = server.info("large", "volume-1", "vers=3")
    with nfs.opened(info, "rw") as device:
        transfers.write(device, Pattern(200 * MIB))
    with nfs.opened(info, "ro") as device:
        transfers.forget()
        stream = ImageStream(device, ByteRange(0, 200 * MIB), lambda: None)
        next(stream)
        path.unlink()
        transfers.forget()
        with pytest.raises(exceptions.BackendException, match="Stale file handle"):
            for _piece in stream:
                pass


@EACH
def test_a_silent_server_ends_an_open_in_bounded_time(server, version):
    """With the option hard, the kernel itself waits for ever."""
    server.create("large", "volume-1")
    info = server.info("large", "volume-1", f"vers={version}")
    mounts = Mounts(guest.BASE, NfsMounter(guest.BASE), patience_s=5)
    transport = NfsTransport(mounts)
    with transport.opened(info, "rw"):
        server.create("large", "volume-2", size_gib=2)
        server.pause(15)
        other = server.info("large", "volume-2", f"vers={version}")
        with pytest.raises(errors.Broken, match="has not answered for 5 s"):
            with transport.opened(other, "rw"):
                pass
        server.resumed()
    # The thread that waited for the server has its answer, and closes the file.
    with transport.opened(other, "rw") as device:
        assert device.length() == 2 * GIB
