# SPDX-License-Identifier: Apache-2.0
"""NetApp's own ``netapp-ontap`` library against the simulator's SAN.

The same class runs over plain directories in the unit tests, and over XFS with
HTTPS in the functional ones.
"""

import os

from netapp_ontap import NetAppRestError
from netapp_ontap.resources import FcInterface
from netapp_ontap.resources import FcpService
from netapp_ontap.resources import Igroup
from netapp_ontap.resources import IgroupInitiator
from netapp_ontap.resources import IscsiCredentials
from netapp_ontap.resources import IscsiService
from netapp_ontap.resources import Lun
from netapp_ontap.resources import LunMap
from netapp_ontap.resources import NvmeNamespace
from netapp_ontap.resources import NvmeService
from netapp_ontap.resources import NvmeSubsystem
from netapp_ontap.resources import NvmeSubsystemHost
from netapp_ontap.resources import NvmeSubsystemMap
import pytest

from glance_ontap_store.tests.unit.ontapsim.library_contract import MIB
from glance_ontap_store.tests.unit.ontapsim.library_contract import connect

SVM = {"name": "svm1"}
IQN, NQN = "iqn.1994-05.org.test:h1", "nqn.2014-08.org.nvmexpress:uuid:1"
SIZE = 64 * MIB


class SanLibraryContract:
    """A subclass gives the fixture ``simulator`` with FlexVols fv1 and fv2.

    Each test makes names of its own and deletes what it made.
    """

    @pytest.fixture(autouse=True)
    def _connection(self, simulator, monkeypatch):
        # requests lets these win over the CA file that a session is given.
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        with connect(simulator):
            yield

    @pytest.fixture
    def lun(self):
        made = Lun(name="/vol/fv1/lib", svm=SVM, os_type="linux", space={"size": SIZE})
        made.post(hydrate=True)
        yield made
        made.delete(allow_delete_while_mapped=True)

    @pytest.fixture
    def namespace(self):
        made = NvmeNamespace(
            name="/vol/fv1/libns", svm=SVM, os_type="linux", space={"size": SIZE}
        )
        made.post(hydrate=True)
        yield made
        made.delete(allow_delete_while_mapped=True)

    def test_a_lun_is_made_grown_and_renamed(self, simulator, lun):
        directory = simulator.flexvols["fv1"]
        assert lun.location.volume.name == "fv1"
        assert lun.space.size == (directory / "lib").stat().st_size == SIZE
        lun.space = {"size": 2 * SIZE}
        lun.patch(hydrate=True)
        assert lun.space.size == (directory / "lib").stat().st_size == 2 * SIZE
        lun.name = "/vol/fv1/library"
        lun.patch(hydrate=True)
        assert Lun.find(name="/vol/fv1/library").uuid == lun.uuid
        assert (directory / "library").exists()

    def test_a_clone_of_a_lun(self, simulator, lun):
        directory = simulator.flexvols["fv1"]
        data = os.urandom(MIB)
        with (directory / "lib").open("r+b") as file:
            file.write(data)
        clone = Lun(
            name="/vol/fv1/lib2", svm=SVM, clone={"source": {"name": "/vol/fv1/lib"}}
        )
        clone.post(hydrate=True)
        with (directory / "lib2").open("rb") as file:
            assert file.read(MIB) == data
        assert clone.serial_number != lun.serial_number
        clone.delete()
        assert not (directory / "lib2").exists()

    def test_a_lun_moves(self, simulator, lun):
        serial = lun.serial_number
        lun.name = "/vol/fv2/lib"
        lun.patch()
        while True:
            lun.get(fields="movement,serial_number")
            if lun.movement.progress.state != "replicating":
                break
        assert lun.movement.progress.state == "complete"
        assert lun.movement.paths.source == "/vol/fv1/lib"
        assert lun.serial_number == serial
        assert (simulator.flexvols["fv2"] / "lib").exists()

    def test_a_copy_of_a_lun(self, simulator, lun):
        copy = Lun(
            name="/vol/fv2/copy", svm=SVM, copy={"source": {"name": "/vol/fv1/lib"}}
        )
        copy.post()
        copy = Lun.find(name="/vol/fv2/copy", fields="copy")
        while copy.copy.source.progress.state == "replicating":
            copy.get(fields="copy")
        assert copy.copy.source.progress.percent_complete == 100
        copy.delete()
        assert not (simulator.flexvols["fv2"] / "copy").exists()

    def test_refusals_have_the_codes_of_the_reference(self, simulator, lun):
        def code_of(act):
            with pytest.raises(NetAppRestError) as caught:
                act()
            return caught.value.response_body["error"]["code"]

        again = Lun(name="/vol/fv1/lib", svm=SVM, os_type="linux", space={"size": SIZE})
        assert code_of(again.post) == "5374242"
        lun.space = {"size": SIZE // 2}
        assert code_of(lun.patch) == "5374892"
        absent = Lun(uuid="11111111-0000-4000-8000-000000000001")
        assert code_of(absent.get) == "5374875"

    def test_a_lun_is_mapped_to_an_igroup(self, simulator, lun):
        group = Igroup(name="lib", svm=SVM, os_type="linux", protocol="iscsi")
        group.post(hydrate=True)
        try:
            IgroupInitiator(group.uuid, name=IQN).post()
            [found] = Igroup.get_collection(
                **{"initiators.name": IQN, "fields": "initiators"}
            )
            assert found.uuid == group.uuid
            made = LunMap(lun={"name": lun.name}, igroup={"name": "lib"}, svm=SVM)
            made.post(hydrate=True)
            assert made.logical_unit_number == 0
            lun.get(fields="lun_maps,status")
            assert lun.lun_maps[0].igroup.name == "lib"
            assert lun.status.mapped is True
            with pytest.raises(NetAppRestError, match="mapped"):
                lun.delete()
            made.delete()
            assert not list(LunMap.get_collection(**{"igroup.name": "lib"}))
            IgroupInitiator(group.uuid, name=IQN).delete()
        finally:
            group.delete()

    def test_a_namespace_is_made_grown_and_cloned(self, simulator, namespace):
        directory = simulator.flexvols["fv1"]
        assert namespace.space.block_size == 4096
        namespace.space = {"size": 2 * SIZE}
        namespace.patch(hydrate=True)
        assert (directory / "libns").stat().st_size == 2 * SIZE
        clone = NvmeNamespace(
            name="/vol/fv1/libns2",
            svm=SVM,
            clone={"source": {"name": "/vol/fv1/libns"}},
        )
        clone.post(hydrate=True)
        assert clone.space.size == 2 * SIZE
        clone.delete()
        assert not (directory / "libns2").exists()

    def test_a_namespace_is_mapped_to_a_subsystem(self, simulator, namespace):
        owner = NvmeSubsystem(name="lib", svm=SVM, os_type="linux")
        owner.post(hydrate=True)
        try:
            NvmeSubsystemHost(owner.uuid, nqn=NQN).post()
            assert owner.target_nqn.endswith("subsystem.lib")
            [host] = NvmeSubsystemHost.get_collection(owner.uuid)
            assert host.nqn == NQN
            made = NvmeSubsystemMap(
                namespace={"name": namespace.name}, subsystem={"name": "lib"}, svm=SVM
            )
            made.post(hydrate=True)
            assert made.namespace.uuid == namespace.uuid
            namespace.get(fields="subsystem_map")
            assert namespace.subsystem_map.subsystem.name == "lib"
            made.delete()
            NvmeSubsystemHost(owner.uuid, nqn=NQN).delete()
        finally:
            owner.delete()

    def test_the_services_and_interfaces_of_an_svm(self, simulator):
        for kind in (IscsiService, FcpService, NvmeService):
            [service] = kind.get_collection(fields="*")
            assert service.enabled
            assert service.svm.name == "svm1"
        [service] = IscsiService.get_collection(fields="target")
        assert service.target.name.startswith("iqn.1992-08.com.netapp:")
        found = list(FcInterface.get_collection(fields="wwpn,state"))
        assert len({one.wwpn for one in found}) == 2

    def test_credentials_of_an_initiator(self, simulator):
        made = IscsiCredentials(
            svm=SVM,
            initiator=IQN,
            authentication_type="chap",
            chap={"inbound": {"user": "u", "password": "a-long-secret"}},
        )
        made.post()
        [found] = IscsiCredentials.get_collection(initiator=IQN, fields="*")
        assert found.chap.inbound.user == "u"
        found.delete()
        assert not list(IscsiCredentials.get_collection(initiator=IQN))
