# SPDX-License-Identifier: Apache-2.0
"""NetApp's own ``netapp-ontap`` library against the simulator.

The same class runs over plain directories in the unit tests, and over XFS with
HTTPS in the functional ones.
"""

import os

from netapp_ontap import HostConnection
from netapp_ontap import NetAppRestError
from netapp_ontap.resources import Aggregate
from netapp_ontap.resources import Cluster
from netapp_ontap.resources import FileClone
from netapp_ontap.resources import FileCopy
from netapp_ontap.resources import FileInfo
from netapp_ontap.resources import IpInterface
from netapp_ontap.resources import Job
from netapp_ontap.resources import Node
from netapp_ontap.resources import QosPolicy
from netapp_ontap.resources import Snapshot
from netapp_ontap.resources import Svm
from netapp_ontap.resources import Volume
import pytest

MIB = 1 << 20
# The library sleeps between two looks at a job: let the simulator wait instead.
WAIT = {"return_timeout": 60}


def connect(simulator, user="cinder", password=None, **options):
    """Return a connection; the simulator's certificate is checked."""
    return HostConnection(
        "127.0.0.1",
        username=user,
        password=password or simulator.passwords[user],
        port=simulator.port,
        scheme=simulator.url.partition(":")[0],
        verify=simulator.ca_file or True,
        poll_interval=1,
        **options,
    )


class LibraryContract:
    """A subclass gives the fixture ``simulator`` with FlexVols fv1 and fv2.

    It needs ``url``, ``port``, ``ca_file``, ``passwords`` and ``flexvols``.
    """

    @pytest.fixture(autouse=True)
    def _connection(self, simulator, monkeypatch):
        # requests lets these win over the CA file that a session is given.
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        with connect(simulator):
            yield

    @pytest.fixture
    def fv1(self, simulator):
        return Volume.find(name="fv1")

    @pytest.fixture
    def fv2(self, simulator):
        return Volume.find(name="fv2")

    def test_the_cluster_and_its_parts(self, simulator):
        cluster = Cluster()
        cluster.get()
        assert cluster.version.generation == 9
        [node] = Node.get_collection(fields="*")
        [aggregate] = Aggregate.get_collection(fields="*")
        assert aggregate.home_node.name == node.name
        assert aggregate.space.block_storage.available > 0
        [svm] = Svm.get_collection(fields="*")
        [lif] = IpInterface.get_collection(
            services="data_nfs", fields="ip.address,svm.name"
        )
        assert (lif.ip.address, lif.svm.name) == ("127.0.0.1", svm.name)

    def test_one_object_by_its_uuid(self, simulator):
        for kind in (Node, Aggregate, Svm, IpInterface, Volume):
            found = next(iter(kind.get_collection()))
            again = kind(uuid=found.uuid)
            again.get()
            assert again.name == found.name

    def test_volumes_are_found_counted_and_paged(self, simulator):
        assert Volume.count_collection(name="fv*") == 2
        names = [v.name for v in Volume.get_collection(max_records=1)]
        assert names == ["fv1", "fv2"]
        [found] = Volume.get_collection(**{"nas.path": "/fv2", "fields": "space"})
        assert found.name == "fv2"
        assert 0 < found.space.used + found.space.available <= found.space.afs_total

    def test_a_volume_is_made_grown_moved_and_deleted(self, simulator):
        volume = Volume(
            name="fresh",
            svm={"name": "svm1"},
            aggregates=[{"name": "aggr1"}],
            size=512 * MIB,
            nas={"path": "/fresh"},
        )
        volume.post(hydrate=True)
        try:
            assert volume.nas.path == "/fresh"
            before = volume.space.available
            volume.size = 600 * MIB
            volume.patch(hydrate=True)
            assert volume.space.size == 600 * MIB
            assert volume.space.available > before
            volume.nas = {"path": "/moved"}
            volume.patch(hydrate=True)
            assert Volume.find(**{"nas.path": "/moved"}).name == "fresh"
        finally:
            volume.delete()
        with pytest.raises(NetAppRestError) as caught:
            volume.get()
        assert caught.value.status_code == 404
        assert caught.value.response_body["error"]["code"] == "4"

    def test_files_are_listed_and_described(self, simulator, fv1):
        folder = simulator.flexvols["fv1"] / "listed.d"
        folder.mkdir()
        (folder / "f.x").write_bytes(b"12345")
        found = FileInfo.get_collection(fv1.uuid, fields="name,type", type="directory")
        assert "listed.d" in [file.name for file in found]
        file = FileInfo(fv1.uuid, "listed.d/f.x")
        file.get(return_metadata=True)
        assert (file.path, file.size, file.type) == ("listed.d/f.x", 5, "file")
        FileInfo(fv1.uuid, "listed.d").delete(recurse=True)
        assert not folder.exists()

    def test_a_file_is_renamed_and_deleted(self, simulator, fv1):
        directory = simulator.flexvols["fv1"]
        (directory / "old").write_text("x")
        file = FileInfo(fv1.uuid, "old")
        file.path = "new"
        file.patch()
        assert (directory / "new").read_text() == "x"
        FileInfo(fv1.uuid, "new").delete()
        with pytest.raises(NetAppRestError) as caught:
            FileInfo(fv1.uuid, "new").delete()
        assert caught.value.response_body["error"]["code"] == "6684674"

    def test_a_directory_is_made(self, simulator, fv1):
        FileInfo(fv1.uuid, "made", type="directory", unix_permissions=750).post()
        made = simulator.flexvols["fv1"] / "made"
        assert made.stat().st_mode & 0o777 == 0o750
        made.rmdir()

    def test_a_clone_and_its_refusals(self, simulator, fv1):
        directory = simulator.flexvols["fv1"]
        data = os.urandom(MIB)
        (directory / "c1").write_bytes(data)
        request = {
            "volume": {"name": "fv1", "uuid": fv1.uuid},
            "source_path": "c1",
            "destination_path": "c2",
        }
        FileClone(**request, is_backup=True).post(poll=True)
        assert (directory / "c2").read_bytes() == data
        with pytest.raises(NetAppRestError, match="File exists"):
            FileClone(**request).post(poll=True)
        (directory / "c1").write_bytes(b"other")
        FileClone(**request, overwrite_destination=True).post(poll=True)
        assert (directory / "c2").read_bytes() == b"other"
        with pytest.raises(NetAppRestError, match="No such file"):
            FileClone(**{**request, "source_path": "none"}).post(poll=True)

    def test_a_range_clone(self, simulator, fv1):
        directory = simulator.flexvols["fv1"]
        (directory / "r1").write_bytes(b"a" * 4096 + b"b" * 4096)
        (directory / "r2").write_bytes(b"c" * 8192)
        FileClone(
            volume={"uuid": fv1.uuid},
            source_path="r1",
            destination_path="r2",
            range=["1:0:1"],
        ).post(poll=True)
        assert (directory / "r2").read_bytes() == b"b" * 4096 + b"c" * 4096

    def test_a_copy_to_another_flexvol(self, simulator, fv1, fv2):
        data = os.urandom(MIB)
        (simulator.flexvols["fv1"] / "from").write_bytes(data)
        files = {
            "source": {"path": "from", "volume": {"uuid": fv1.uuid}},
            "destination": {"path": "to", "volume": {"uuid": fv2.uuid}},
        }
        answer = FileCopy(files_to_copy=[files]).post(poll=False, **WAIT)
        job = Job(uuid=answer.http_response.json()["job"]["uuid"])
        job.get()
        assert job.state == "success"
        assert (simulator.flexvols["fv2"] / "to").read_bytes() == data
        assert job.uuid in [found.uuid for found in Job.get_collection()]

    def test_a_job_is_polled_to_its_end(self, simulator, fv1, fv2):
        (simulator.flexvols["fv1"] / "p").write_bytes(b"x")
        files = {
            "source": {"path": "p", "volume": {"uuid": fv1.uuid}},
            "destination": {"path": "p", "volume": {"uuid": fv2.uuid}},
        }
        FileCopy(files_to_copy=[files]).post(poll=True)
        assert (simulator.flexvols["fv2"] / "p").exists()
        with pytest.raises(NetAppRestError, match="Job failed: File exists"):
            FileCopy(files_to_copy=[files]).post(poll=True)

    def test_snapshots_and_policies(self, simulator, fv1):
        snapshot = Snapshot(fv1.uuid, name="s1")
        snapshot.post(hydrate=True)
        assert Snapshot.find(fv1.uuid, name="s*").uuid == snapshot.uuid
        snapshot.delete()
        assert Snapshot.count_collection(fv1.uuid) == 0
        policy = QosPolicy(
            name="p1", svm={"name": "svm1"}, fixed={"max_throughput_iops": 100}
        )
        policy.post(hydrate=True)
        assert QosPolicy.find(name="p1").uuid == policy.uuid
        policy.delete()
        assert QosPolicy.find(name="p1") is None

    def test_logins(self, simulator):
        with connect(simulator, "viewer"):
            volume = Volume.find(name="fv1")
            volume.comment = "no"
            with pytest.raises(NetAppRestError) as caught:
                volume.patch()
            assert caught.value.status_code == 403
            assert caught.value.response_body["error"]["code"] == "6"
        with connect(simulator, "cinder", password="wrong"):
            with pytest.raises(NetAppRestError) as caught:
                Volume.find(name="fv1")
            assert caught.value.status_code == 401

    def test_the_svm_of_a_header(self, simulator):
        with connect(simulator, headers={"X-Dot-SVM-Name": "none"}):
            with pytest.raises(NetAppRestError) as caught:
                list(Volume.get_collection())
        assert caught.value.response_body["error"]["code"] == "2621462"
