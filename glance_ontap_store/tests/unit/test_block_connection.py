# SPDX-License-Identifier: Apache-2.0
"""Cinder's connection information, what sysfs tells, and what follows from both."""

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach import devices
from glance_ontap_store.attach.block import connection
from glance_ontap_store.attach.block import identity
from glance_ontap_store.attach.block import sysfs
from glance_ontap_store.attach.block.brick import Found
from glance_ontap_store.attach.block.sysfs import Seen
from glance_ontap_store.attach.block.sysfs import Sysfs

SECRET = "chap-s3cret"
ISCSI = {
    "driver_volume_type": "iscsi",
    "target_iqn": "iqn.1992-08.com.netapp:sn.1",
    "target_iqns": ["iqn.1992-08.com.netapp:sn.1"] * 2,
    "target_portal": "192.0.2.1:3260",
    "target_portals": ["192.0.2.1:3260", "192.0.2.2:3260"],
    "target_lun": 0,
    "target_luns": [0, 0],
    "auth_password": SECRET,
    "discovery_auth_password": SECRET,
}
FC = {
    "driver_volume_type": "fibre_channel",
    "target_wwn": ["500a098280feeba5"],
    "target_lun": 3,
}
UUID = "a1129e6f-8497-4c0c-be01-3eab1ba684ed"
NVME = {
    "driver_volume_type": "nvmeof",
    "target_nqn": "nqn.1992-08.com.netapp:sn.1:subsystem.openstack",
    "portals": [["192.0.2.1", 4420, "tcp"]],
    "vol_uuid": UUID,
}
WWN = "3600a098038304437415d4b6a59684a52"


class TestParse:
    @pytest.mark.parametrize(
        ("info", "place"),
        [
            (ISCSI, "iSCSI LUN 0 of iqn.1992-08.com.netapp:sn.1"),
            (FC, "FC LUN 3 of 500a098280feeba5"),
            (NVME, f"NVMe/TCP namespace {UUID} of {NVME['target_nqn']}"),
        ],
    )
    def test_each_protocol_has_a_place(self, info, place):
        found = connection.parse(info)
        assert found.place == place
        assert found.properties == info

    @pytest.mark.parametrize(
        ("info", "paths"),
        [
            (ISCSI, "paths to the LUN (multipath -ll)"),
            (FC, "paths to the LUN (multipath -ll)"),
            (NVME, "paths to the namespace (nvme list-subsys)"),
        ],
    )
    def test_each_protocol_has_its_remedies(self, info, paths):
        remedies = connection.parse(info).remedies
        assert paths in remedies.failed
        assert "this host's kernel (dmesg)" in remedies.failed
        assert "read-only" in remedies.denied
        assert "NFS" not in f"{remedies.failed} {remedies.denied}"

    def test_no_password_is_in_any_text_of_it(self):
        found = connection.parse(ISCSI)
        assert SECRET not in f"{found} {found!r} {found.place}"
        assert set(found.secrets) == {SECRET}

    @pytest.mark.parametrize(
        ("info", "missing"),
        [
            (ISCSI, ("target_iqn", "target_iqns")),
            (ISCSI, ("target_lun", "target_luns")),
            (ISCSI, ("target_portal", "target_portals")),
            (FC, ("target_wwn",)),
            (FC, ("target_lun",)),
            (NVME, ("vol_uuid",)),
            (NVME, ("portals",)),
        ],
    )
    @pytest.mark.parametrize("value", [None, [], ""])
    def test_what_os_brick_needs_must_be_there(self, info, missing, value):
        with pytest.raises(errors.Broken, match=missing[0]) as caught:
            connection.parse({**info, **dict.fromkeys(missing, value)})
        assert SECRET not in str(caught.value)

    def test_an_encrypted_volume_is_refused(self):
        with pytest.raises(errors.Misconfigured, match="encrypts"):
            connection.parse({**ISCSI, "encrypted": True})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("naa.600A098038304437415d4b6a59684a52\n", WWN),
        (WWN, WWN),
        (f"mpath-{WWN}", WWN),
        ("eui.0025385b71b00b1a", "20025385b71b00b1a"),
        (f"uuid.{UUID}", UUID),
        (UUID.upper(), UUID),
        ("", None),
        ("\n", None),
    ],
)
def test_the_same_identity_has_one_form(text, found):
    assert sysfs.identity(text) == found


class Tree:
    """A tree of sysfs."""

    def __init__(self, root):
        self.root = root
        self.sysfs = Sysfs(str(root))

    def put(self, name, *parts, text=""):
        path = self.root.joinpath("class", "block", name, *parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")

    def disk(self, name, wwid=WWN, mode="writesame_16_unmap", vendor="NETAPP  "):
        self.put(name, "dev", text="8:0")
        self.put(name, "device", "wwid", text=wwid)
        self.put(name, "device", "vendor", text=vendor)
        self.put(name, "device", "scsi_disk", "2:0:0:0", "zeroing_mode", text=mode)

    def multipath(self, *disks, uuid=f"mpath-{WWN}"):
        self.put("dm-0", "dev", text="253:0")
        self.put("dm-0", "dm", "uuid", text=uuid)
        for name in disks:
            self.put("dm-0", "slaves", name)
            self.put(name, "holders", "dm-0", "dm", "uuid", text=uuid)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


class TestSysfs:
    def test_a_disk_tells_what_it_is(self, tree):
        tree.disk("sda")
        seen = tree.sysfs.look("sda")
        assert seen == Seen(
            "sda", frozenset({WWN}), "8:0", ("sda",), frozenset({"writesame_16_unmap"})
        )
        assert seen.unmaps_when_zeroed

    @pytest.mark.parametrize("mode", ["write", "writesame", "disable", "", "new"])
    def test_a_disk_with_another_mode_is_not_thin(self, tree, mode):
        tree.disk("sda", mode=mode)
        assert not tree.sysfs.look("sda").unmaps_when_zeroed

    def test_a_multipath_device_is_all_of_its_paths(self, tree):
        tree.disk("sda")
        tree.disk("sdb", mode="write")
        tree.multipath("sda", "sdb")
        seen = tree.sysfs.look("dm-0")
        assert seen.ids == {WWN}
        assert seen.disks == ("sda", "sdb")
        assert not seen.unmaps_when_zeroed
        assert tree.sysfs.look("sda").is_path

    def test_a_path_with_another_identity_is_seen(self, tree):
        tree.disk("sda")
        tree.disk("sdb", wwid="naa.600a0980ffff")
        tree.multipath("sda", "sdb")
        assert tree.sysfs.look("dm-0").ids == {WWN, "3600a0980ffff"}

    def test_devices_of_partitions_are_told_from_others(self, tree):
        tree.multipath()
        tree.put("dm-0", "holders", "dm-1", "dm", "uuid", text=f"part1-mpath-{WWN}")
        assert tree.sysfs.look("dm-0").is_partitioned
        tree.put("dm-0", "holders", "dm-2", "dm", "uuid", text="LVM-abc")
        assert not tree.sysfs.look("dm-0").is_partitioned

    def test_a_namespace_tells_its_uuid(self, tree):
        tree.put("nvme0n1", "wwid", text=f"uuid.{UUID}")
        seen = tree.sysfs.look("nvme0n1")
        assert seen.ids == {UUID}
        assert seen.unmaps_when_zeroed

    def test_a_device_that_is_not_there_tells_nothing(self, tree):
        assert tree.sysfs.look("sdz") == Seen("sdz")

    def test_devices_are_found_by_their_identity(self, tree):
        assert tree.sysfs.devices(WWN) == []
        tree.disk("sda")
        tree.disk("sdb", wwid="naa.600a0980ffff")
        tree.multipath("sda")
        assert tree.sysfs.devices(WWN) == ["dm-0", "sda"]


class TestIdentity:
    def certain(self, info, wwn=None, *ids):
        found = Found("/dev/sda", wwn)
        known = identity.known(found, Seen("sda", frozenset(ids)))
        return identity.certain(connection.parse(info), found, known)

    def test_one_identity_is_the_devices(self):
        assert self.certain(ISCSI, WWN, WWN) == WWN
        assert self.certain(ISCSI, WWN) == WWN
        assert self.certain(FC, None, WWN) == WWN
        assert self.certain(NVME, None, UUID) == UUID

    @pytest.mark.parametrize("info", [ISCSI, NVME])
    def test_nothing_may_tell_one(self, info):
        assert self.certain(info) is None

    def test_a_device_that_had_another_identity_is_refused(self):
        with pytest.raises(errors.Broken, match="more than one identity"):
            self.certain(ISCSI, WWN, "3600a0980ffff")

    def test_paths_to_different_luns_are_refused(self):
        with pytest.raises(errors.Broken, match="more than one identity"):
            self.certain(FC, None, WWN, "3600a0980ffff")

    def test_another_namespace_than_cinder_named_is_refused(self):
        with pytest.raises(errors.Broken, match="Nothing was read or written"):
            self.certain(NVME, None, UUID.replace("a", "b"))

    def test_a_device_of_the_same_volume_is_in_use(self):
        error = identity.taken(Found("/dev/sda"), WWN, "v1", ["v1"])
        assert isinstance(error, errors.ImageVolumeInUse)

    def test_a_device_of_another_volume_is_named(self):
        error = identity.taken(Found("/dev/sda"), WWN, "v1", ["v1", "v2"])
        assert isinstance(error, errors.Broken)
        assert "device of volume v2" in str(error)


class TestMakers:
    """The helper that runs as root opens devices of NetApp only."""

    def test_a_lun_a_multipath_device_and_a_namespace_are_netapps(self, tree):
        tree.disk("sda")
        tree.multipath("sda")
        tree.put("nvme0n1", "device", "model", text="NetApp ONTAP Controller")
        for name in ("sda", "dm-0", "nvme0n1"):
            assert devices.is_netapp(f"/dev/{name}", str(tree.root))

    def test_other_devices_are_not(self, tree):
        tree.disk("sda", vendor="ATA")
        tree.disk("sdb")
        tree.multipath("sda", "sdb")
        tree.put("nvme0n1", "device", "model", text="Samsung SSD")
        for path in (
            *("/dev/sda", "/dev/dm-0", "/dev/nvme0n1", "/dev/sdz", "/dev/loop0"),
            *("/etc/passwd", "/dev/../dev/sdb", "/tmp/sdb", "/dev/sdb/../sdb"),
        ):
            assert not devices.is_netapp(path, str(tree.root))
