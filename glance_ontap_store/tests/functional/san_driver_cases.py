# SPDX-License-Identifier: Apache-2.0
"""Cinder's iSCSI, FC and NVMe/TCP drivers, unmodified, against the simulator.

They run without Cinder's services: only the simulator is needed. The drivers start
green threads, so ``test_ontapsim_san_drivers.py`` runs them in a process of their own.
"""

import contextlib
import os
import uuid

import pytest

from lab.ontapsim import process
from lab.ontapsim import requirements
from lab.ontapsim.flexvol import unshared_bytes

pytestmark = [
    pytest.mark.skipif(
        bool(requirements.missing()), reason=requirements.missing() or "-"
    ),
    # Libraries about themselves, when Cinder's objects are imported.
    pytest.mark.filterwarnings("ignore:The 'oslo_service:DeprecationWarning"),
]
cfg = pytest.importorskip("oslo_config.cfg")
pytest.importorskip("cinder", reason="Cinder is not installed (tox env functional)")

from cinder import context  # noqa: E402
from cinder import coordination  # noqa: E402
from cinder import exception  # noqa: E402
from cinder import objects  # noqa: E402
from cinder.volume import configuration  # noqa: E402
from cinder.volume import driver as base_driver  # noqa: E402
from cinder.volume.drivers.netapp import common  # noqa: E402
from cinder.volume.drivers.netapp import utils as na_utils  # noqa: E402
from cinder.volume.drivers.netapp.dataontap.client import api  # noqa: E402
from cinder.volume.drivers.netapp.dataontap.utils import utils  # noqa: E402

MIB, GIB = 1 << 20, 1 << 30
PROTOCOLS = {"iscsi": "iSCSI", "fc": "FC", "nvme": "NVMe"}
# Only these two have Cinder's migrate_volume, manage_existing and revert_to_snapshot.
WITH_LUNS = ("iscsi", "fc")
THICK = "thick"
CONNECTOR = {
    "host": "h1",
    "ip": "127.0.0.1",
    "initiator": "iqn.1994-05.org.test:h1",
    "wwpns": ["50014380186b3f65", "50014380186b3f67"],
    "nqn": "nqn.2014-08.org.nvmexpress:uuid:1",
}
OTHER = {
    "host": "h2",
    "ip": "127.0.0.1",
    "initiator": "iqn.1994-05.org.test:h2",
    "wwpns": ["50014380186b4f65"],
    "nqn": "nqn.2014-08.org.nvmexpress:uuid:2",
}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    root = tmp_path_factory.mktemp("ontapsim")
    flexvols = {"fv1": 512 * MIB, "fv2": 512 * MIB}
    with process.running(root, flexvols) as running:
        yield running


def section(name, simulator, protocol, **more):
    """Return a back end's section of cinder.conf."""
    options = {
        "netapp_storage_family": "ontap_cluster",
        "netapp_storage_protocol": protocol,
        "netapp_server_hostname": "127.0.0.1",
        "netapp_server_port": simulator.port,
        "netapp_transport_type": "http",
        "netapp_login": process.ADMIN,
        "netapp_password": simulator.passwords[process.ADMIN],
        "netapp_vserver": "svm1",
        "netapp_use_legacy_client": "false",
        "netapp_allow_zapi_fallback": "false",
        "netapp_lun_space_reservation": "disabled",
        "netapp_driver_reports_provisioned_capacity": "true",
        **more,
    }
    lines = "".join(f"{key} = {value}\n" for key, value in options.items())
    return f"[{name}]\n{lines}"


@pytest.fixture(scope="module")
def configured(simulator, tmp_path_factory):
    """Cinder's configuration in this process, and its locks."""
    root = tmp_path_factory.mktemp("cinder")
    (root / "ssh_known_hosts").touch()
    sections = [
        f"[DEFAULT]\nssh_hosts_key_file = {root}/ssh_known_hosts\n"
        f"[coordination]\nbackend_url = file://{root}/locks\n",
        *(section(name, simulator, name) for name in PROTOCOLS),
        section(THICK, simulator, "iscsi", netapp_lun_space_reservation="enabled"),
    ]
    file = root / "cinder.conf"
    file.write_text("".join(sections))
    objects.register_all()
    cfg.CONF([], default_config_files=[str(file)], default_config_dirs=[])
    coordination.COORDINATOR.start()
    yield
    coordination.COORDINATOR.stop()
    cfg.CONF.reset()


class Backend:
    """A driver as cinder-volume has it, and what a test made with it."""

    def __init__(self, name, simulator):
        self.name = name
        self.simulator = simulator
        self.context = context.get_admin_context()
        self._made = []
        options = configuration.Configuration(
            base_driver.volume_opts, config_group=name
        )
        self.driver = common.NetAppDriver(configuration=options, host=f"lab@{name}")
        self.driver.do_setup(self.context)
        self.driver.check_for_setup_error()

    @property
    def kind(self):
        """The path of its LUNs or namespaces in the API."""
        return "namespaces" if self.name == "nvme" else "luns"

    def new(self, size=1, flexvol="fv1"):
        """Return a volume that does not exist yet; sizes are in GiB."""
        volume = objects.Volume(
            self.context,
            id=str(uuid.uuid4()),
            size=size,
            host=f"lab@{self.name}#{flexvol}",
            status="available",
            attach_status="detached",
            multiattach=False,
            volume_type_id=None,
            provider_auth=None,
            _name_id=None,
        )
        self._made.append(volume)
        return volume

    def created(self, size=1, flexvol="fv1"):
        """Create a volume as cinder-volume does."""
        volume = self.new(size, flexvol)
        volume.update(self.driver.create_volume(volume) or {})
        volume.update(self.driver.create_export(self.context, volume, CONNECTOR) or {})
        return volume

    def cloned(self, source, size=1):
        volume = self.new(size)
        volume.update(self.driver.create_cloned_volume(volume, source) or {})
        return volume

    def snapshot(self, volume):
        snapshot = objects.Snapshot(
            self.context,
            id=str(uuid.uuid4()),
            volume_id=volume.id,
            volume_size=volume.size,
            volume=volume,
        )
        self._made.append(snapshot)
        self.driver.create_snapshot(snapshot)
        return snapshot

    def path(self, thing, flexvol="fv1"):
        """Return the file of a volume or snapshot."""
        return self.simulator.flexvols[flexvol] / thing.name

    def asked(self, path):
        """Return the records of a GET at the simulator."""
        return self.simulator.api("GET", path).json()["records"]

    def clean(self):
        """Delete all that was made; what a test deleted is no error to the driver."""
        for thing in reversed(self._made):
            if thing.name.startswith("snapshot"):
                self.driver.delete_snapshot(thing)
            else:
                self.driver.delete_volume(thing)
        self._made.clear()

    def close(self):
        for task in self.driver.library.loopingcalls.tasks:
            task.looping_call.stop()


@pytest.fixture(scope="module")
def backends(simulator, configured):
    """Return a function that starts a driver, once for this module."""
    with contextlib.ExitStack() as stack:
        started = {}

        def start(name):
            if name not in started:
                started[name] = Backend(name, simulator)
                stack.callback(started[name].close)
            return started[name]

        yield start


def used(backends, name):
    """Yield a back end, and see that nothing of it is left."""
    backend = backends(name)
    yield backend
    backend.simulator.remove_faults()
    backend.clean()
    for directory in backend.simulator.flexvols.values():
        assert os.listdir(directory) == []
    assert backend.asked("/storage/luns") == []
    assert backend.asked("/storage/namespaces") == []
    assert backend.asked("/protocols/san/lun-maps") == []
    assert backend.asked("/protocols/nvme/subsystem-maps") == []
    # No request of a driver that nobody here wrote may be unknown.
    assert " ERROR " not in backend.simulator.log_file.read_text()


@pytest.fixture(params=PROTOCOLS)
def backend(request, backends):
    yield from used(backends, request.param)


@pytest.fixture(params=WITH_LUNS)
def lun_backend(request, backends):
    yield from used(backends, request.param)


@pytest.fixture
def thick_backend(backends):
    yield from used(backends, THICK)


def write(path, size=4 * MIB):
    """Write random data at the start of a volume, to the disk, and return it."""
    data = os.urandom(size)
    with path.open("r+b") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return data


def start_of(path, size=4 * MIB):
    with path.open("rb") as file:
        return file.read(size)


# Volumes and snapshots


def test_the_statistics_name_a_pool_for_each_flexvol(backend):
    volume = backend.created()
    stats = backend.driver.get_volume_stats(refresh=True)
    assert stats["storage_protocol"] == PROTOCOLS[backend.name]
    pools = {pool["pool_name"]: pool for pool in stats["pools"]}
    assert set(pools) == {"fv1", "fv2"}
    assert 0 < pools["fv1"]["free_capacity_gb"] <= pools["fv1"]["total_capacity_gb"]
    assert pools["fv1"]["provisioned_capacity_gb"] == 1
    assert pools["fv2"]["provisioned_capacity_gb"] == 0
    assert backend.driver.get_pool(volume) == "fv1"


def test_a_new_volume_has_no_blocks(backend):
    path = backend.path(backend.created(2))
    assert path.stat().st_size == 2 * GIB
    assert path.stat().st_blocks == 0


def test_a_clone_shares_all_blocks(backend):
    source = backend.created()
    data = write(backend.path(source))
    clone = backend.cloned(source)
    assert start_of(backend.path(clone)) == data
    assert unshared_bytes(backend.path(source)) == 0
    assert unshared_bytes(backend.path(clone)) == 0


def test_a_clone_that_is_larger_than_its_source(backend):
    source = backend.created()
    data = write(backend.path(source))
    clone = backend.cloned(source, size=3)
    assert backend.path(clone).stat().st_size == 3 * GIB
    assert start_of(backend.path(clone)) == data
    assert unshared_bytes(backend.path(clone)) == 0


def test_a_volume_grows_while_a_host_has_it_open(backend):
    volume = backend.created()
    backend.driver.initialize_connection(volume, CONNECTOR)
    with backend.path(volume).open("rb") as file:
        backend.driver.extend_volume(volume, 2)
        assert os.fstat(file.fileno()).st_size == 2 * GIB
    backend.driver.terminate_connection(volume, CONNECTOR)


def test_a_volume_from_a_snapshot_has_the_bytes_of_then(backend):
    volume = backend.created()
    then = write(backend.path(volume))
    snapshot = backend.snapshot(volume)
    write(backend.path(volume))
    copy = backend.new(2)
    backend.driver.create_volume_from_snapshot(copy, snapshot)
    assert start_of(backend.path(copy)) == then
    assert backend.path(copy).stat().st_size == 2 * GIB


def test_reverting_to_a_snapshot(lun_backend):
    volume = lun_backend.created()
    then = write(lun_backend.path(volume))
    snapshot = lun_backend.snapshot(volume)
    write(lun_backend.path(volume))
    lun_backend.driver.revert_to_snapshot(lun_backend.context, volume, snapshot)
    assert start_of(lun_backend.path(volume)) == then


def test_a_lun_of_another_name_becomes_a_volume(lun_backend):
    body = {
        "svm.name": "svm1",
        "name": "/vol/fv1/foreign",
        "os_type": "linux",
        "space.size": 2 * GIB,
    }
    answer = lun_backend.simulator.api("POST", "/storage/luns", json=body)
    assert answer.status_code == 201
    reference = {"source-name": "/vol/fv1/foreign"}
    volume = lun_backend.new(2)
    driver = lun_backend.driver
    assert driver.manage_existing_get_size(volume, reference) == 2
    driver.manage_existing(volume, reference)
    assert lun_backend.path(volume).stat().st_size == 2 * GIB


# Attachments


def test_a_volume_is_attached_and_detached_over_iscsi(backends):
    backend = backends("iscsi")
    volume = backend.created()
    found = backend.driver.initialize_connection(volume, CONNECTOR)
    data = found["data"]
    assert found["driver_volume_type"] == "iscsi"
    assert data["target_portals"] == ["127.1.0.1:3260", "127.1.0.2:3260"]
    [service] = backend.asked("/protocols/san/iscsi/services?fields=target")
    assert set(data["target_iqns"]) == {service["target"]["name"]}
    [one] = backend.asked("/protocols/san/lun-maps?fields=*")
    assert one["lun"]["name"] == f"/vol/fv1/{volume.name}"
    assert data["target_luns"] == [one["logical_unit_number"]] * 2
    again = backend.driver.initialize_connection(volume, CONNECTOR)
    assert again == found
    backend.driver.terminate_connection(volume, CONNECTOR)
    assert backend.asked("/protocols/san/lun-maps") == []
    backend.clean()


def test_a_volume_is_attached_and_detached_over_fibre_channel(backends):
    backend = backends("fc")
    volume = backend.created()
    found = backend.driver.initialize_connection(volume, CONNECTOR)
    data = found["data"]
    assert found["driver_volume_type"] == "fibre_channel"
    interfaces = backend.asked("/network/fc/interfaces?fields=wwpn")
    wwpns = [one["wwpn"].replace(":", "") for one in interfaces]
    assert data["target_wwn"] == wwpns
    assert data["initiator_target_map"] == dict.fromkeys(CONNECTOR["wwpns"], wwpns)
    [one] = backend.asked("/protocols/san/lun-maps?fields=*")
    assert data["target_lun"] == one["logical_unit_number"]
    # The host has no other LUN: Cinder's zone manager may remove the zone.
    left = backend.driver.terminate_connection(volume, CONNECTOR)
    assert left["data"]["target_wwn"] == wwpns
    assert backend.asked("/protocols/san/lun-maps") == []
    backend.clean()


def test_a_volume_is_attached_and_detached_over_nvme(backends):
    backend = backends("nvme")
    volume = backend.created()
    found = backend.driver.initialize_connection(volume, CONNECTOR)
    data = found["data"]
    assert found["driver_volume_type"] == "nvmeof"
    assert data["portals"] == [("127.1.0.1", 4420, "tcp"), ("127.1.0.2", 4420, "tcp")]
    [owner] = backend.asked(
        f"/protocols/nvme/subsystems?fields=*&subsystem_maps.namespace.name=/vol/fv1/"
        f"{volume.name}"
    )
    assert data["target_nqn"] == owner["target_nqn"]
    assert [host["nqn"] for host in owner["hosts"]] == [CONNECTOR["nqn"]]
    [namespace] = backend.asked("/storage/namespaces")
    assert data["vol_uuid"] == namespace["uuid"]
    backend.driver.terminate_connection(volume, CONNECTOR)
    # Cinder's driver takes the host away; subsystem and map stay.
    after = backend.simulator.api("GET", f"/protocols/nvme/subsystems/{owner['uuid']}")
    assert "hosts" not in after.json()
    assert len(after.json()["subsystem_maps"]) == 1
    again = backend.driver.initialize_connection(volume, OTHER)
    assert again["data"]["target_nqn"] == data["target_nqn"]
    backend.clean()


def test_two_hosts_see_a_volume_each_by_its_own_map(lun_backend):
    volume = lun_backend.created()
    for connector in (CONNECTOR, OTHER):
        lun_backend.driver.initialize_connection(volume, connector)
    assert len(lun_backend.asked("/protocols/san/lun-maps")) == 2
    lun_backend.driver.terminate_connection(volume, CONNECTOR)
    assert len(lun_backend.asked("/protocols/san/lun-maps")) == 1
    lun_backend.driver.terminate_connection(volume, OTHER)


def test_the_number_of_a_detached_volume_goes_to_the_next(lun_backend):
    first, second = lun_backend.created(), lun_backend.created()
    driver = lun_backend.driver

    def number(volume):
        found = driver.initialize_connection(volume, CONNECTOR)
        return found["data"]["target_lun"]

    old = number(first)
    driver.terminate_connection(first, CONNECTOR)
    assert number(second) == old
    driver.terminate_connection(second, CONNECTOR)


def test_deleting_an_attached_volume_removes_its_map(backend):
    volume = backend.created()
    backend.driver.initialize_connection(volume, CONNECTOR)
    backend.driver.delete_volume(volume)
    assert not backend.path(volume).exists()


# Migration


def test_a_volume_moves_to_another_flexvol_and_keeps_its_identity(lun_backend):
    volume = lun_backend.created()
    data = write(lun_backend.path(volume))
    fields = "/storage/luns?fields=serial_number,lun_maps"
    lun_backend.driver.initialize_connection(volume, CONNECTOR)
    [before] = lun_backend.asked(fields)
    host = {"host": f"lab@{lun_backend.name}#fv2"}
    moved, _ = lun_backend.driver.migrate_volume(lun_backend.context, volume, host)
    assert moved
    assert start_of(lun_backend.path(volume, "fv2")) == data
    assert not lun_backend.path(volume).exists()
    [after] = lun_backend.asked(fields)
    assert {**after, "name": ""} == {**before, "name": ""}
    assert lun_backend.driver.get_pool(volume) == "fv2"
    lun_backend.driver.terminate_connection(volume, CONNECTOR)


def test_a_move_that_fails_leaves_the_volume_where_it_was(lun_backend):
    volume = lun_backend.created()
    data = write(lun_backend.path(volume))
    lun_backend.simulator.add_fault(
        action="job_failed", method="PATCH", path="/storage/luns/", message="broken"
    )
    host = {"host": f"lab@{lun_backend.name}#fv2"}
    # The driver looks for the new name and does not expect to find none.
    with pytest.raises(TypeError):
        lun_backend.driver.migrate_volume(lun_backend.context, volume, host)
    assert start_of(lun_backend.path(volume)) == data
    assert lun_backend.driver.get_pool(volume) == "fv1"


def test_a_copy_is_started_looked_at_and_cancelled(lun_backend):
    volume = lun_backend.created()
    data = write(lun_backend.path(volume))
    client = utils.get_client_for_backend(lun_backend.name)
    path = client.start_lun_copy(volume.name, "fv2", "svm1", src_ontap_volume="fv1")
    while client.get_lun_copy_status(path)["job-status"] != "complete":
        pass  # each look is a request
    assert start_of(lun_backend.path(volume, "fv2")) == data
    client.destroy_lun(path)
    lun_backend.simulator.add_fault(
        action="job_stuck", method="POST", path="/storage/luns$", count=1
    )
    path = client.start_lun_copy(volume.name, "fv2", "svm1", src_ontap_volume="fv1")
    assert client.get_lun_copy_status(path)["job-status"] == "replicating"
    client.cancel_lun_copy(path)
    assert client.get_lun_copy_status(path) is None


def test_a_clone_of_a_snapshot_of_the_flexvol(lun_backend):
    volume = lun_backend.created()
    then = write(lun_backend.path(volume))
    client = utils.get_client_for_backend(lun_backend.name)
    client.create_cg_snapshot(["fv1"], "group-1")
    try:
        write(lun_backend.path(volume))
        clone = lun_backend.new()
        client.clone_lun(
            "fv1", volume.name, clone.name, "false", source_snapshot="group-1"
        )
        assert start_of(lun_backend.path(clone)) == then
    finally:
        client.delete_snapshot("fv1", "group-1")
        os.rmdir(lun_backend.simulator.flexvols["fv1"] / ".snapshot")


# Space


def test_a_reserved_volume_that_does_not_fit_is_refused(thick_backend):
    with pytest.raises(exception.VolumeBackendAPIException):
        thick_backend.created()
    posts = [
        entry["status"]
        for entry in thick_backend.simulator.logged()
        if entry["method"] == "POST" and entry["path"] == "/api//storage/luns"
    ]
    assert posts[-1] == 507


def test_thin_volumes_together_may_be_larger_than_the_flexvol(backend):
    for _ in range(3):
        backend.created(2)
    full = backend.path(backend.created())
    with full.open("r+b") as file:
        with pytest.raises(OSError, match="No space left"):
            os.posix_fallocate(file.fileno(), 0, GIB)


# Faults


def faulty(backend, **fault):
    """Switch a fault on for requests on LUNs or namespaces."""
    backend.simulator.add_fault(path=f"/storage/{backend.kind}", **fault)


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "error", "status": 503, "code": "77"},
        {"action": "reset"},
        {"action": "job_failed", "code": "77", "message": "broken"},
    ],
    ids=lambda fault: fault["action"],
)
def test_a_fault_fails_a_new_volume_and_leaves_nothing(backend, fault):
    faulty(backend, method="POST", **fault)
    volume = backend.new()
    with pytest.raises(exception.VolumeBackendAPIException):
        backend.driver.create_volume(volume)
    assert not backend.path(volume).exists()


def test_a_fault_fails_a_clone_and_leaves_its_source(backend):
    source = backend.created()
    data = write(backend.path(source))
    faulty(backend, method="POST", action="job_failed", code="77", message="broken")
    with pytest.raises((exception.VolumeBackendAPIException, api.NaApiError)):
        backend.cloned(source)
    assert start_of(backend.path(source)) == data


def test_a_fault_of_a_map_fails_the_attachment(backend):
    volume = backend.created()
    backend.simulator.add_fault(
        action="error", status=500, code="77", method="POST", path="-maps$"
    )
    with pytest.raises(api.NaApiError) as caught:
        backend.driver.initialize_connection(volume, CONNECTOR)
    assert caught.value.code == "77"


def test_a_fault_keeps_a_volume_that_is_to_be_deleted(backend):
    volume = backend.created()
    faulty(backend, method="DELETE", action="error", status=500, code="77", count=1)
    with pytest.raises(na_utils.NetAppDriverException):
        backend.driver.delete_volume(volume)
    assert backend.path(volume).exists()
