# SPDX-License-Identifier: Apache-2.0
"""The REST client of Cinder's NetApp driver, unmodified, against the simulator.

What the driver does with it is in the driver's ``nfs_cmode.py``, ``nfs_base.py`` and
``utils/capabilities.py``: each test takes the calls of one of its operations.
"""

import os

import pytest

from lab.ontapsim import process
from lab.ontapsim import requirements
from lab.ontapsim.flexvol import unshared_bytes

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(
        bool(requirements.missing()), reason=requirements.missing() or "-"
    ),
]
cfg = pytest.importorskip("oslo_config.cfg")
pytest.importorskip("cinder", reason="Cinder is not installed (tox env functional)")

from cinder import exception  # noqa: E402
from cinder.volume.drivers.netapp import utils as na_utils  # noqa: E402
from cinder.volume.drivers.netapp.dataontap.client import api  # noqa: E402
from cinder.volume.drivers.netapp.dataontap.client import client_cmode_rest  # noqa: E402
from cinder.volume.drivers.netapp.dataontap.performance import perf_cmode  # noqa: E402

MIB = 1 << 20
SVM = "svm1"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    root = tmp_path_factory.mktemp("ontapsim")
    flexvols = {"fv1": 512 * MIB, "fv2": 512 * MIB}
    with process.running(root, flexvols) as running:
        yield running


@pytest.fixture(scope="module")
def tls_simulator(tmp_path_factory):
    root = tmp_path_factory.mktemp("ontapsim-tls")
    with process.running(root, {"fv1": 512 * MIB}, tls=True) as running:
        yield running


@pytest.fixture(autouse=True)
def _ssh_hosts_file(tmp_path):
    """The client opens Cinder's file of SSH hosts even where it uses REST only."""
    hosts = tmp_path / "ssh_known_hosts"
    hosts.touch()
    cfg.CONF.set_override("ssh_hosts_key_file", str(hosts))
    yield
    cfg.CONF.clear_override("ssh_hosts_key_file")


def connect(simulator, user="cinder", **options):
    """Return Cinder's client, logged in."""
    given = {
        "hostname": "127.0.0.1",
        "port": simulator.port,
        "username": user,
        "password": simulator.passwords[user],
        "transport_type": simulator.url.partition(":")[0],
        "vserver": SVM,
        "api_trace_pattern": "(.*)",
        "private_key_file": None,
        "certificate_file": None,
        "ca_certificate_file": None,
        "certificate_host_validation": None,
        "ssl_cert_path": simulator.ca_file,
        "zapi_fallback_enabled": False,
    }
    return client_cmode_rest.RestClient(**{**given, **options})


@pytest.fixture
def client(simulator):
    yield connect(simulator)
    simulator.remove_faults()
    # No request of a client that nobody here wrote may be unknown.
    assert " ERROR " not in simulator.log_file.read_text()


@pytest.fixture
def fv1(simulator):
    return simulator.flexvols["fv1"]


@pytest.fixture
def fv2(simulator):
    return simulator.flexvols["fv2"]


def write(path, size):
    """Write random data down to the file system's blocks."""
    with path.open("wb") as file:
        file.write(os.urandom(size))
        file.flush()
        os.fsync(file.fileno())


# Start and statistics


def test_the_requests_of_the_drivers_start(client):
    assert client.check_api_permissions() == []
    addresses = client.get_operational_lif_addresses()
    assert addresses == ["127.0.0.1", "127.1.0.1", "127.1.0.2"]
    flexvol = client.get_flexvol(flexvol_path="/fv1")
    assert flexvol == client.get_flexvol(flexvol_name="fv1")
    assert (flexvol["name"], flexvol["vserver"]) == ("fv1", SVM)
    assert flexvol["junction-path"] == "/fv1"
    assert flexvol["size"] == str(512 * MIB)
    [aggregate] = flexvol["aggregate"]
    assert client.get_aggregate(aggregate)["raid-type"] == "raid_dp"
    assert client.get_aggregate_disk_types(aggregate) == ["ssd"]
    assert client.get_flexvol_dedupe_info("fv1")["dedupe"] is True
    assert client.is_flexvol_mirrored("fv1", SVM) is False
    assert client.is_flexvol_encrypted("fv1", SVM) is False
    assert client.get_lun_sizes_by_volume("fv1") == []
    assert client.list_flexvols() == ["fv1", "fv2"]
    node = client.get_node_for_aggregate(aggregate)
    assert client.is_qos_min_supported(True, node) is True
    assert client.get_cluster_name()
    assert client.get_svm_uuid_by_name()
    assert client.get_volume_state(name="fv1") == "online"


def test_the_requests_of_the_drivers_statistics(client, fv1):
    capacity = client.get_flexvol_capacity(flexvol_path="/fv1")
    found = os.statvfs(fv1)
    assert capacity["size-available"] == found.f_bavail * found.f_frsize
    assert capacity["size-total"] == found.f_blocks * found.f_frsize
    [aggregate] = client.get_aggregate_capacities(["aggr1"]).values()
    assert 0 <= aggregate["percent-used"] <= 100
    assert 0 <= client.get_flexvol_dedupe_used_percent("fv1") < 100
    performance = perf_cmode.PerformanceCmodeLibrary(client)
    catalog = {"fv1": {"netapp_aggregate": "aggr1"}}
    for _ in range(2):
        performance.update_performance_cache(catalog)
    utilization = performance.get_node_utilization_for_pool("fv1")
    assert 0 < utilization < 100


def test_messages_and_housekeeping(client):
    message = {
        "computer-name": "host",
        "event-source": "Cinder driver",
        "app-version": "29",
        "category": "provisioning",
        "auto-support": "false",
        "event-id": "0",
        "event-description": "test",
    }
    client.send_ems_log_message(message)
    client.remove_unused_qos_policy_groups()
    assert client.get_snapshots_marked_for_deletion() == []


def test_it_finds_a_volume_by_its_export(client):
    [interface] = client.get_if_info_by_ip("127.0.0.1")
    assert client.get_vol_by_junc_vserver(interface["vserver"], "/fv2") == "fv2"
    with pytest.raises(exception.NotFound):
        client.get_if_info_by_ip("127.0.0.9")
    with pytest.raises(exception.VolumeBackendAPIException):
        client.get_vol_by_junc_vserver(SVM, "/none")


# Volumes, snapshots, images


def test_a_volume_is_cloned_without_new_blocks(client, fv1):
    source = fv1 / "volume-clone-source"
    write(source, 32 * MIB)
    before = client.get_flexvol_capacity(flexvol_path="/fv1")["size-available"]
    client.clone_file("fv1", source.name, "volume-clone", SVM)
    after = client.get_flexvol_capacity(flexvol_path="/fv1")["size-available"]
    assert before - after < MIB
    assert (fv1 / "volume-clone").read_bytes() == source.read_bytes()
    assert unshared_bytes(source) == 0


def test_a_snapshot_is_a_clone_and_is_deleted(client, fv1):
    (fv1 / "volume-snap").write_bytes(b"then")
    client.clone_file("fv1", "volume-snap", "snapshot-1", SVM, is_snapshot=True)
    (fv1 / "volume-snap").write_bytes(b"now")
    client.clone_file("fv1", "snapshot-1", "volume-from-snap", SVM)
    assert (fv1 / "volume-from-snap").read_bytes() == b"then"
    client.delete_file("/vol/fv1/snapshot-1")
    assert not (fv1 / "snapshot-1").exists()


def test_a_clone_over_an_existing_file_needs_the_option(client, fv1):
    (fv1 / "img-cache-1").write_bytes(b"image")
    (fv1 / "volume-over").write_bytes(b"empty volume")
    with pytest.raises(api.NaApiError) as caught:
        client.clone_file("fv1", "img-cache-1", "volume-over", SVM)
    assert caught.value.code == "6684689"
    client.clone_file("fv1", "img-cache-1", "volume-over", SVM, dest_exists=True)
    assert (fv1 / "volume-over").read_bytes() == b"image"


def test_deleting_a_missing_file_has_the_expected_code(client):
    with pytest.raises(api.NaApiError) as caught:
        client.delete_file("/vol/fv1/volume-none")
    assert caught.value.code == api.REST_NO_SUCH_FILE


def test_reverting_to_a_snapshot_swaps_names(client, fv1):
    (fv1 / "volume-r").write_bytes(b"now")
    (fv1 / "new-snapshot").write_bytes(b"then")
    client.rename_file("/vol/fv1/volume-r", "/vol/fv1/tmp-volume-r")
    client.rename_file("/vol/fv1/new-snapshot", "/vol/fv1/volume-r")
    client.delete_file("/vol/fv1/tmp-volume-r")
    assert (fv1 / "volume-r").read_bytes() == b"then"
    assert not (fv1 / "tmp-volume-r").exists()


def test_the_image_cache_learns_the_bytes_of_a_file_alone(client, fv1):
    write(fv1 / "img-cache-2", 4 * MIB)
    assert int(client.get_file_usage("/vol/fv1/img-cache-2", SVM)) == 4 * MIB
    client.clone_file("fv1", "img-cache-2", "volume-cached", SVM)
    assert client.get_file_usage("/vol/fv1/img-cache-2", SVM) == "0"
    assert client.get_file_usage("/vol/fv1/img-cache-none", SVM) == "0"


def test_provisioned_capacity_is_the_sum_of_file_lengths(client, fv1):
    with (fv1 / "volume-sparse").open("wb") as file:
        file.truncate(1 << 30)
    sizes = {f["name"]: f["file-size"] for f in client.get_file_sizes_by_dir("fv1")}
    assert sizes["volume-sparse"] == 1 << 30


def test_a_group_snapshot_and_its_sweep(client, fv1):
    (fv1 / "volume-g").write_bytes(b"then")
    client.create_cg_snapshot(["fv1", "fv2"], "group-1")
    (fv1 / "volume-g").write_bytes(b"now")
    client.clone_file("fv1", "volume-g", "snapshot-g", SVM, source_snapshot="group-1")
    assert (fv1 / "snapshot-g").read_bytes() == b"then"
    client.wait_for_busy_snapshot("fv1", "group-1")
    client.delete_snapshot("fv1", "group-1")
    client.mark_snapshot_for_deletion("fv2", "group-1")
    [marked] = client.get_snapshots_marked_for_deletion()
    assert (marked["volume_name"], marked["name"]) == ("fv2", "deleted_cinder_group-1")
    client.delete_snapshot(marked["volume_name"], marked["name"])
    assert client.get_snapshots_marked_for_deletion() == []
    with pytest.raises(exception.SnapshotNotFound):
        client.get_snapshot("fv1", "group-1")


def test_a_qos_policy_lives_and_is_swept(client, simulator, fv1):
    info = {"spec": {"policy_name": "openstack-1", "max_throughput": "100iops"}}
    client.provision_qos_policy_group(info, qos_min_support=True)
    client.provision_qos_policy_group(info, qos_min_support=True)
    (fv1 / "volume-qos").touch()
    client.file_assign_qos("fv1", "openstack-1", False, "volume-qos")
    client.mark_qos_policy_group_for_deletion(info)
    answer = simulator.api("GET", "/storage/qos/policies")
    assert answer.json()["num_records"] == 0


# File copy and migration


def test_a_migration_copies_to_another_flexvol(client, simulator, fv1, fv2):
    (fv1 / "volume-m").write_bytes(os.urandom(16 * MIB))
    job = client.start_file_copy("volume-m", "fv2", src_ontap_volume="fv1")
    # The driver looks every 10 s. Here the simulator's own end is waited for.
    ended(simulator, job)
    assert client.get_file_copy_status(job) == {
        "job-status": "complete",
        "last-failure-reason": None,
    }
    assert (fv2 / "volume-m").read_bytes() == (fv1 / "volume-m").read_bytes()
    assert unshared_bytes(fv2 / "volume-m") == 16 * MIB


def ended(simulator, job):
    """Look at a job until it has ended; each look is a request, no time is set."""
    while True:
        found = simulator.api("GET", f"/cluster/jobs/{job}").json()
        if found["state"] in ("success", "failure"):
            return found


def test_a_copy_with_a_leading_slash_fails_at_once_as_on_ontap(client):
    with pytest.raises(exception.VolumeBackendAPIException):
        client.start_file_copy("img-cache-1", "/fv2", src_ontap_volume="/fv1")


def test_a_failed_copy_says_why(client, simulator):
    job = client.start_file_copy("none", "fv2", src_ontap_volume="fv1")
    ended(simulator, job)
    with pytest.raises(api.NaApiError, match="No such file") as caught:
        client.get_file_copy_status(job)
    assert caught.value.code == api.REST_NO_SUCH_FILE


def test_a_stuck_copy_is_cancelled(client, simulator, fv1):
    (fv1 / "volume-stuck").write_bytes(b"x")
    simulator.add_fault(action="job_stuck", path="/storage/file/copy$", count=1)
    job = client.start_file_copy("volume-stuck", "fv2", src_ontap_volume="fv1")
    assert client.get_file_copy_status(job)["job-status"] == "running"
    client.destroy_file_copy(job)
    assert ended(simulator, job)["state"] == "failure"


# Rights and faults


def test_a_readonly_login_is_refused_with_the_expected_code(simulator, fv1):
    reader = connect(simulator, "viewer")
    assert reader.check_api_permissions() == []
    (fv1 / "volume-ro").touch()
    with pytest.raises(api.NaApiError) as caught:
        reader.delete_file("/vol/fv1/volume-ro")
    assert caught.value.code == api.REST_UNAUTHORIZED
    assert (fv1 / "volume-ro").exists()


def test_a_login_of_the_svm_lacks_the_cluster(simulator):
    limited = connect(simulator, "svmadmin")
    invalid = limited.check_api_permissions()
    assert {"netapp_raid_type", "netapp_disk_type"} <= set(invalid)
    assert limited.get_flexvol(flexvol_path="/fv1")["name"] == "fv1"
    assert limited.get_aggregate("aggr1") == {}


def test_a_wrong_password(simulator):
    with pytest.raises(api.NaApiError, match="not authorized"):
        connect(simulator, password="wrong")


def test_an_svm_that_does_not_exist(simulator):
    with pytest.raises(api.NaApiError, match="does not exist"):
        connect(simulator, vserver="none")


def test_a_job_that_fails_fails_the_clone(client, simulator, fv1):
    (fv1 / "volume-f").write_bytes(b"x")
    simulator.add_fault(
        action="job_failed", path="/file/clone$", code="42", message="no license"
    )
    with pytest.raises(api.NaApiError, match="no license") as caught:
        client.clone_file("fv1", "volume-f", "volume-f2", SVM)
    assert caught.value.code == "42"


def test_a_job_that_stays_running_ends_in_the_drivers_timeout(simulator, fv1):
    impatient = connect(simulator, async_rest_timeout=2)
    (fv1 / "volume-j").write_bytes(b"x")
    simulator.add_fault(action="job_stuck", path="/file/clone$", count=1)
    with pytest.raises(na_utils.NetAppDriverException, match="Retries exhausted"):
        impatient.clone_file("fv1", "volume-j", "volume-j2", SVM)
    assert not (fv1 / "volume-j2").exists()


def test_an_answer_of_503_is_an_error_with_its_code(client, simulator):
    simulator.add_fault(action="error", status=503, code="77", path="/volumes$")
    with pytest.raises(api.NaApiError) as caught:
        client.list_flexvols()
    assert caught.value.code == "77"


def test_a_reset_of_a_read_is_tried_again(client, simulator):
    simulator.add_fault(action="reset", path="/volumes$", count=1)
    assert client.list_flexvols() == ["fv1", "fv2"]
    statuses = [entry["status"] for entry in simulator.logged()][-2:]
    assert statuses == [None, 200]


def test_a_reset_of_a_clone_is_an_error(client, simulator, fv1):
    (fv1 / "volume-x").write_bytes(b"x")
    simulator.add_fault(action="reset", method="POST", path="/file/clone$")
    with pytest.raises(api.NaApiError):
        client.clone_file("fv1", "volume-x", "volume-x2", SVM)
    assert not (fv1 / "volume-x2").exists()


# HTTPS


def test_https_with_a_given_certificate(tls_simulator, monkeypatch):
    # requests lets these two win over what the driver is configured with.
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    assert connect(tls_simulator).list_flexvols() == ["fv1"]
