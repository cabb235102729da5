# SPDX-License-Identifier: Apache-2.0
"""What is special to block protocols: Cinder, devices, ``check`` and ``explain``.

``test_san.py`` starts the lab. What holds with each protocol is tested by the tests of
NFS: `block`.
"""

from concurrent import futures
import contextlib
import hashlib
from importlib import metadata
import json
import os
import signal
import subprocess
import sys
import uuid

from glance_store import exceptions
import pytest

from glance_ontap_store import errors
from glance_ontap_store.survey import host
from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.direct import Leftovers
from glance_ontap_store.tests.functional.pattern import Pattern
from glance_ontap_store.tests.functional.pattern import Sized
from glance_ontap_store.tests.functional.preflight import CINDER_CONF
from glance_ontap_store.tests.functional.preflight import Operator
from lab import san
from lab import stores
from lab.demo import blocks
from lab.polling import wait_until
from lab.san_connector import LoopConnector

MIB, GIB = 1 << 20, 1 << 30
FLEXVOLS = {"iscsi": "iscsi1", "fc": "fc1", "nvme": "nvme1"}
ATTACHMENTS = "3.54"
# The major version of Cinder's package.
RELEASE = metadata.version("cinder").partition(".")[0]


@pytest.fixture(params=FLEXVOLS)
def protocol(request):
    return request.param


@pytest.fixture
def owner(admin):
    owner = User(admin)
    yield owner
    owner.clean()


@pytest.fixture(autouse=True)
def _no_device_is_left(lab):
    yield
    wait_until(lambda: not lab.devices(), "all devices of the host are gone")


class Attachment:
    """A volume that this process has attached, as the store will."""

    def __init__(self, cloud, volume):
        self._storage = cloud.block_storage
        self._volume = volume
        body = {
            "attachment": {
                "volume_uuid": volume.id,
                "connector": {"host": "lab", "ip": "127.0.0.1", **san.HOST_NAMES},
                "mode": "rw",
            }
        }
        answer = self._send("post", "/attachments", body)
        self.id = answer["attachment"]["id"]
        self.properties = answer["attachment"]["connection_info"]
        self.connector = LoopConnector("sudo -n")
        self._send("post", f"/attachments/{self.id}/action", {"os-complete": {}})

    def _send(self, method, path, body=None):
        answer = getattr(self._storage, method)(
            path, json=body, microversion=ATTACHMENTS
        )
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else {}

    def connect(self):
        return self.connector.connect_volume(self.properties)

    def disconnect(self):
        self.connector.disconnect_volume(self.properties, None)

    def detach(self):
        self._send("delete", f"/attachments/{self.id}")
        wait_until(self._is_free, "the volume is available again")

    def _is_free(self):
        return self._storage.get_volume(self._volume.id).status == "available"

    def extend(self, gib):
        """Let Cinder grow the volume while it is attached."""
        path = f"/volumes/{self._volume.id}/action"
        self._send("post", path, {"os-extend": {"new_size": gib}})

        def has_grown():
            found = self._storage.get_volume(self._volume.id)
            return (found.status, found.size) == ("in-use", gib)

        wait_until(has_grown, "the volume has grown")


def test_each_protocol_has_its_pools_and_types(lab, admin):
    pools = {pool.name for pool in admin.block_storage.backend_pools()}
    assert san.pools() <= pools
    types = {found.name for found in admin.block_storage.types()}
    assert san.volume_types().keys() <= types


def test_cinder_writes_an_image_into_a_volume(lab, owner, protocol):
    data = Pattern(5 * MIB)
    image = owner.uploaded(data, "file")
    flexvol = FLEXVOLS[protocol]
    volume = owner.volume(volume_type=f"ontap-{flexvol}", image_id=image.id)
    assert pattern.first_difference(images.backing_file(lab, volume), data.size) is None


def test_a_volume_is_written_grown_and_read_by_its_device(lab, owner, protocol):
    volume = owner.volume(volume_type=f"ontap-{FLEXVOLS[protocol]}")
    attachment = Attachment(owner.cloud, volume)
    found = attachment.connect()
    data = os.urandom(MIB)
    attachment.extend(2)
    assert attachment.connector.extend_volume(attachment.properties) == 2 * GIB
    with open(found["path"], "r+b") as device:
        device.seek(2 * GIB - MIB)
        device.write(data)
    attachment.disconnect()
    attachment.detach()
    with images.backing_file(lab, volume).open("rb") as file:
        file.seek(2 * GIB - MIB)
        assert file.read() == data


def test_a_volume_that_is_detached_first_leaves_its_device_to_the_next(lab, owner):
    volumes = [owner.volume(volume_type="ontap-iscsi1") for _ in range(2)]
    first = Attachment(owner.cloud, volumes[0])
    old = first.connect()
    first.detach()
    second = Attachment(owner.cloud, volumes[1])
    assert second.connect() == old
    second.disconnect()
    assert second.connect()["scsi_wwn"] != old["scsi_wwn"]
    second.disconnect()
    second.detach()


def test_a_volume_migrates_inside_the_array(lab, owner):
    volume = owner.volume(volume_type="iscsi")
    here = volume.host.rpartition("#")[2]
    there = "iscsi2" if here == "iscsi1" else "iscsi1"
    host = volume.host.removesuffix(here) + there
    data = os.urandom(MIB)
    with images.backing_file(lab, volume).open("r+b") as file:
        file.write(data)
    owner.cloud.block_storage.migrate_volume(volume, host=host)

    def moved():
        found = owner.cloud.block_storage.get_volume(volume.id)
        return found if found.host == host else None

    volume = wait_until(moved, "the volume is in its new pool")
    with images.backing_file(lab, volume).open("rb") as file:
        assert file.read(MIB) == data
    assert not (lab.flexvol(here) / f"volume-{volume.id}").exists()


def test_upstreams_store_keeps_an_image_on_iscsi(owner):
    data = Pattern(5 * MIB)
    image = owner.uploaded(data, san.PEER)
    digest = hashlib.sha512(owner.download(image.id).content).hexdigest()
    assert digest == image.hash_value == data.sha512.hexdigest()


# The store.


def stored(lab, admin, image, data):
    """Check the image in Glance, in Cinder and in its LUN; return its volume."""
    assert image.status == "active"
    assert (image.size, image.checksum) == (data.size, data.md5.hexdigest())
    assert image.hash_value == data.sha512.hexdigest()
    volume = images.image_volume(admin, image.id)
    assert volume.status == "available"
    assert not volume.attachments
    assert volume.size == -(-data.size // GIB)
    path = images.backing_file(lab, volume)
    assert path.stat().st_size == volume.size * GIB
    assert pattern.first_difference(path, data.size) is None
    return volume


def test_an_image_is_stored_read_cloned_and_deleted(lab, admin, owner, protocol):
    flexvol = FLEXVOLS[protocol]
    data = Sized(5 * MIB + 12)
    image = owner.uploaded(data, flexvol)
    source = stored(lab, admin, image, data)
    assert not lab.devices()
    assert owner.download(image.id).content == pattern.at(0, data.size)
    part = owner.download(image.id, Range="bytes=4095-4097")
    assert part.content == pattern.at(4095, 3)
    reads = [data.size, 3]
    # Glance writes its log a moment after the last byte.
    wait_until(
        lambda: images.data_reads(lab, image.id) == reads, "both downloads are logged"
    )
    volume = owner.volume(size=2, volume_type=f"ontap-{flexvol}", image_id=image.id)
    path = images.backing_file(lab, volume)
    # The array has cloned it: no byte went through a host, and no block is new.
    assert images.data_reads(lab, image.id) == reads
    shared = blocks.extents(str(images.backing_file(lab, source)))
    assert blocks.not_in(blocks.extents(str(path)), shared) == 0
    assert path.stat().st_size == 2 * GIB
    assert pattern.first_difference(path, data.size) is None
    owner.clean()
    wait_until(
        lambda: not images.image_volumes(admin, image.id), "the image-volume is gone"
    )


LONG_BUT_ISCSI = [
    "iscsi",
    pytest.param("fc", marks=pytest.mark.long),
    pytest.param("nvme", marks=pytest.mark.long),
]


@pytest.mark.parametrize("protocol", LONG_BUT_ISCSI)
def test_explain_tells_the_way_that_cinder_takes(lab, admin, owner, protocol):
    """To each pool, and for a volume that is smaller than its image-volume."""
    flexvol = FLEXVOLS[protocol]
    image = owner.uploaded(Sized(5 * MIB + 12), flexvol)
    image_volume = images.image_volume(admin, image.id)

    def explained(kind, size=1):
        ended = Operator(lab).run(
            *("--os-cloud", "admin", "explain", "-f", "json", image.id),
            *("--volume-type", kind, "--size", str(size)),
            *("--cinder-conf", CINDER_CONF, "--cinder-release", RELEASE),
        )
        assert ended.stdout, ended.stderr
        return {
            row["Pool"].rpartition("#")[2]: (row["Path"], row["Code"], row["Certainty"])
            for row in json.loads(ended.stdout)
        }

    def assert_made(kind, downloads, size=1):
        before = len(images.data_reads(lab, image.id))
        owner.volume(size=size, volume_type=kind, image_id=image.id)
        # Glance writes its log a moment after the last byte.
        wait_until(
            lambda: len(images.data_reads(lab, image.id)) == before + downloads,
            f"the volume took {downloads} downloads",
        )

    clone = ("image-volume clone", None, "certain")
    found = explained(protocol)
    assert found.pop(flexvol) == clone
    assert set(found.values()) <= {("download", "no-image-volume", "certain")}
    assert_made(f"ontap-{flexvol}", downloads=0)
    for other in found:
        assert_made(f"ontap-{other}", downloads=1)
    admin.block_storage.extend_volume(image_volume, 2)
    wait_until(
        lambda: admin.block_storage.get_volume(image_volume.id).size == 2,
        "the image-volume has grown",
    )
    kind = f"ontap-{flexvol}"
    assert explained(kind) == {flexvol: ("download", "image-volume-larger", "certain")}
    assert_made(kind, downloads=1)
    assert explained(kind, 3) == {flexvol: clone}
    assert_made(kind, downloads=0, size=3)


def test_check_finds_what_luns_need(lab, admin):
    """The lab's services have locks of their own, and its host has no multipathd."""
    name = f"no-space-allocation-{uuid.uuid4().hex[:8]}"
    specs = {**san.volume_types()["ontap-iscsi1"], "netapp:space_allocation": "false"}
    kind = admin.block_storage.create_type(name=name, extra_specs=specs)
    operator = Operator(lab)
    changes = {
        "iscsi1": {
            "ontap_volume_type": name,
            "ontap_use_multipath": "true",
            "ontap_replica_volume_type": "iscsi",
        }
    }
    reserving = {
        san.backend_of("iscsi"): {"netapp_lun_space_reservation": "enabled"},
    }
    try:
        with (
            operator.changed(changes) as config,
            operator.changed(reserving, "cinder") as cinder_conf,
        ):
            _code, found = operator.findings(
                *("--cinder-conf", cinder_conf), config=config
            )
    finally:
        admin.block_storage.delete_type(kind)
    codes = {
        protocol: {
            finding["Code"]
            for finding in found
            if finding["Subject"] == flexvol and finding["Severity"] != "info"
        }
        for protocol, flexvol in FLEXVOLS.items()
    }
    common = {
        protocol: {"brick-lock-path"}
        | (set() if protocol in host.block_names() else {"block-host-name"})
        for protocol in FLEXVOLS
    }
    common["iscsi"] |= {"multipathd", "lun-space-reservation", "lun-space-allocation"}
    assert codes == common
    notes = {finding["Code"] for finding in found if finding["Subject"] == "iscsi1"}
    assert "replica-type-protocol" in notes
    (locks,) = (
        finding["Problem"]
        for finding in found
        if (finding["Subject"], finding["Code"]) == ("fc1", "brick-lock-path")
    )
    assert "that of cinder-volume (/etc/cinder/cinder.conf) in" in locks
    questions = {
        finding["Subject"]: finding["Problem"]
        for finding in found
        if "space allocation" in finding["Problem"] and finding["Severity"] == "info"
    }
    assert questions.keys() == {"iscsi2", "fc1"}


@pytest.mark.parametrize("protocol", LONG_BUT_ISCSI)
def test_an_image_of_unknown_size_ends_in_a_volume_of_its_size(
    lab, admin, owner, protocol
):
    """The attached volume grows in Cinder and on the host, GiB by GiB."""
    data = Pattern(2 * GIB + 5)
    image = owner.uploaded(data, FLEXVOLS[protocol])
    volume = stored(lab, admin, image, data)
    assert volume.size == 3
    smallest = owner.volume(
        size=3, volume_type=f"ontap-{FLEXVOLS[protocol]}", image_id=image.id
    )
    assert images.backing_file(lab, smallest).stat().st_size == 3 * GIB


def test_zeros_of_an_image_take_no_room(lab, admin, owner):
    class Holed(Sized):
        """One MiB of data, 62 of zeros, and one of data."""

        def read(self, size=MIB):
            size = min(size, self.size - self.position)
            at = self.position
            is_hole = MIB <= at < 63 * MIB
            data = bytes(size) if is_hole else pattern.at(at, size)
            self.position += size
            return data

    image = owner.uploaded(Holed(64 * MIB), "iscsi1")
    path = images.backing_file(lab, images.image_volume(admin, image.id))
    assert path.stat().st_blocks * 512 <= 4 * MIB
    with path.open("rb") as file:
        assert file.read(MIB) == pattern.at(0, MIB)
        assert not any(file.read(62 * MIB))
        assert file.read(MIB) == pattern.at(63 * MIB, MIB)


def test_readers_of_one_image_do_not_wait_for_each_other(owner, protocol):
    size = 20 * MIB
    image = owner.uploaded(Sized(size), FLEXVOLS[protocol])
    with futures.ThreadPoolExecutor(3) as pool:
        found = pool.map(lambda _: owner.download(image.id).content, range(3))
        assert all(content == pattern.at(0, size) for content in found)


_WRITER = """
import sys, time
from lab.client import Lab
from lab.stores import make_store

store_id, base, name = sys.argv[1:]
store = make_store(Lab.from_facts(), store_id, mount_point_base=base)

class Reader:
    given = 0
    def read(self, size):
        if self.given > 20_000_000:
            print("writing", flush=True)
            time.sleep(600)
        self.given += size
        return b"x" * size

store.add(name, Reader(), 50_000_000, "sha256")
"""

# The next process of the host: its first use starts the recovery.
_NEXT = """
import sys
from glance_ontap_store.tests.functional import direct
from lab.client import Lab
from lab.stores import make_store

store_id, base, volume_id = sys.argv[1:]
store = make_store(Lab.from_facts(), store_id, mount_point_base=base)
try:
    store.get_size(direct.at(store_id, volume_id))
except Exception as error:
    print(type(error).__name__, flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def started(program, *arguments):
    """Run *program*; it ends with the block."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_an_upload_that_was_killed_leaves_no_device_and_no_volume(lab, admin, protocol):
    flexvol = FLEXVOLS[protocol]
    base = stores.new_base()
    left = Leftovers(lab, admin, base, flexvol)
    with started(_WRITER, flexvol, base, str(uuid.uuid4())) as process:
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    new = left.new()
    assert {kind: len(found) for kind, found in new.items()} == {
        "volumes": 1,
        "attachments": 1,
        "connections": 1,
        "files": 1,
    }
    (volume_id,) = new["volumes"]
    with started(_NEXT, flexvol, base, volume_id) as process:
        assert process.stdout.readline() == "BackendException\n"
        wait_until(lambda: not left.new(), "all is released", state=left.new)


def test_an_attachment_with_a_device_is_not_deleted_by_another_host(lab, admin):
    """As with glance-ontap sweep: only the host that has the device can end it."""
    volume = direct.owner("iscsi1").block_storage.create_volume(
        size=1, volume_type="ontap-iscsi1", name="functional"
    )
    storage = direct.owner("iscsi1").block_storage
    storage.wait_for_status(volume, status="available")
    attachment = Attachment(direct.owner("iscsi1"), volume)
    attachment.connect()
    store = stores.make_store(lab, "iscsi1", mount_point_base=stores.new_base())
    volumes = store._backend.volumes
    with pytest.raises(errors.StillConnected, match="that host"):
        volumes.release(volume.id, attachment.id)
    assert storage.get_volume(volume.id).status == "in-use"
    attachment.disconnect()
    attachment.detach()
    storage.delete_volume(volume.id)
    storage.wait_for_delete(volume)


@pytest.mark.parametrize("is_connected", [False, True])
def test_an_image_that_a_dead_host_is_attaching_is_busy_until_it_is_swept(
    lab, admin, owner, is_connected
):
    """Over NFS it is read without an attachment."""
    image = owner.uploaded(Sized(MIB), "iscsi1")
    volume = images.image_volume(admin, image.id)
    storage = direct.owner("iscsi1").block_storage
    body = {"volume_uuid": volume.id, "mode": "ro"}
    if is_connected:
        names = {**san.HOST_NAMES, "initiator": "iqn.2000-01.org.example:another"}
        body["connector"] = {"host": "another", "ip": "192.0.2.99", **names}
    made = storage.post(
        "/attachments", json={"attachment": body}, microversion=ATTACHMENTS
    ).json()["attachment"]
    base = stores.new_base()
    store = stores.make_store(lab, "iscsi1", mount_point_base=base, attach_wait=12)
    left = Leftovers(lab, admin, base, "iscsi1")
    with pytest.raises(exceptions.InUseByStore):
        store.get(direct.at("iscsi1", volume.id))
    wait_until(lambda: not left.new(), "nothing is left", state=left.new)
    storage.delete(f"/attachments/{made['id']}", microversion=ATTACHMENTS)
    stream, _size = store.get(direct.at("iscsi1", volume.id))
    assert b"".join(stream) == pattern.at(0, MIB)


def test_no_request_of_the_drivers_was_unknown(lab):
    statuses = {entry["status"] for entry in lab.ontap_requests()}
    assert 201 in statuses
    assert 501 not in statuses
