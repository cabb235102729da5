# SPDX-License-Identifier: Apache-2.0
"""The simulator as the lab starts it: its start, its end, and after a crash."""

from contextlib import ExitStack
import json
import os
from pathlib import Path
import signal
import socket
import subprocess

import pytest
import requests

from lab.ontapsim import process
from lab.ontapsim import requirements

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(
        bool(requirements.missing()), reason=requirements.missing() or "-"
    ),
]

MIB = 1 << 20
FLEXVOLS = {"fv1": 512 * MIB, "fv2": 512 * MIB}


def mounts_below(root):
    """Return what is mounted below a directory, as this process sees it."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if line.split()[4].startswith(str(root))]


def loops_of(root):
    """Return the loop devices of the files below a directory."""
    found = subprocess.run(
        ["losetup", "--json", "--list", "-O", "NAME,BACK-FILE"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    devices = json.loads(found)["loopdevices"] if found.strip() else []
    return [d for d in devices if str(d["back-file"]).startswith(str(root))]


def test_it_says_where_it_is_and_leaves_nothing_mounted(tmp_path):
    with process.running(tmp_path, FLEXVOLS) as simulator:
        assert simulator.api("GET", "/cluster").status_code == 200
        ready = json.loads((tmp_path / "ready.json").read_text())
        assert ready["flexvols"] == {
            name: str(tmp_path / "flexvols" / "svm1" / name) for name in FLEXVOLS
        }
        assert ready["ca_file"] is None
        assert len(mounts_below(tmp_path)) == 2
        for directory in simulator.flexvols.values():
            assert directory.stat().st_mode & 0o777 == 0o777
    assert not mounts_below(tmp_path)
    assert not loops_of(tmp_path)


def test_https_with_its_own_certificate(tmp_path, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with process.running(tmp_path, {"fv1": 512 * MIB}, tls=True) as simulator:
        assert simulator.url.startswith("https://127.0.0.1:")
        assert simulator.api("GET", "/cluster").status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{simulator.url}/api/cluster", timeout=60)


def test_data_and_uuids_stay_over_a_restart(tmp_path):
    found = []
    for _ in range(2):
        with process.running(tmp_path, FLEXVOLS) as simulator:
            answer = simulator.api("GET", "/storage/volumes").json()
            found.append([record["uuid"] for record in answer["records"]])
            path = simulator.flexvols["fv1"] / "kept"
            assert path.exists() == (len(found) == 2)
            path.touch()
    assert found[0] == found[1]


def test_luns_and_their_maps_stay_over_a_kill(tmp_path):
    with ExitStack() as stack:
        killed = stack.enter_context(process.running(tmp_path, FLEXVOLS))
        for path, body in (
            (
                "/storage/luns",
                {"name": "/vol/fv1/a", "os_type": "linux", "space.size": 64 * MIB},
            ),
            ("/protocols/san/igroups", {"name": "g", "os_type": "linux"}),
            (
                "/protocols/san/lun-maps",
                {"lun.name": "/vol/fv1/a", "igroup.name": "g"},
            ),
        ):
            answer = killed.api("POST", path, json={"svm.name": "svm1", **body})
            assert answer.status_code == 201
        query = "/storage/luns?fields=*"
        before = killed.api("GET", query).json()["records"]
        os.kill(killed.pid, signal.SIGKILL)
    with process.running(tmp_path, FLEXVOLS) as simulator:
        assert simulator.api("GET", query).json()["records"] == before
        assert before[0]["lun_maps"][0]["igroup"]["name"] == "g"
        path = f"/storage/luns/{before[0]['uuid']}?allow_delete_while_mapped=true"
        assert simulator.api("DELETE", path).status_code == 200
        assert not (simulator.flexvols["fv1"] / "a").exists()


def test_after_a_kill_the_next_one_takes_over(tmp_path):
    with ExitStack() as stack:
        killed = stack.enter_context(process.running(tmp_path, FLEXVOLS))
        (killed.flexvols["fv1"] / "kept").touch()
        os.kill(killed.pid, signal.SIGKILL)
    with process.running(tmp_path, FLEXVOLS) as simulator:
        assert (simulator.flexvols["fv1"] / "kept").exists()
        assert len(mounts_below(tmp_path)) == 2
    assert not mounts_below(tmp_path)
    assert not loops_of(tmp_path)


def test_a_start_that_fails_says_why_and_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="300 MiB"):
        with process.running(tmp_path, {"fv1": 512 * MIB, "fv2": MIB}):
            pass
    assert not mounts_below(tmp_path)


def test_it_ends_while_a_job_is_stuck_and_a_request_waits(tmp_path):
    with ExitStack() as stack:
        simulator = stack.enter_context(process.running(tmp_path, FLEXVOLS))
        (simulator.flexvols["fv1"] / "a").touch()
        simulator.add_fault(action="job_stuck", path="/storage/file/clone$")
        body = {"volume": {"name": "fv1"}, "source_path": "a", "destination_path": "b"}
        answer = simulator.api("POST", "/storage/file/clone", json=body)
        assert answer.status_code == 202
        simulator.add_fault(action="latency", path="/cluster$", latency_s=3600)
        # The client outlives the simulator: it is closed after it.
        client = socket.create_connection(("127.0.0.1", simulator.port))
        client.sendall(b"GET /api/cluster HTTP/1.0\r\n\r\n")
        while simulator.faults()[1]["hits"] == 0:
            pass  # each look is a request
    with client:
        assert client.recv(1) == b""
    assert not mounts_below(tmp_path)


def test_the_log_of_requests_and_faults_by_the_control_plane(tmp_path):
    with process.running(tmp_path, {"fv1": 512 * MIB}) as simulator:
        simulator.add_fault(action="error", path="/cluster$", status=503, count=1)
        assert simulator.api("GET", "/cluster").status_code == 503
        assert simulator.api("GET", "/cluster").status_code == 200
        assert [entry["status"] for entry in simulator.logged()] == [503, 200]
        simulator.remove_faults()
        lines = simulator.request_log.read_text().splitlines()
        assert [json.loads(line)["user"] for line in lines] == ["cinder", "cinder"]
        assert simulator.passwords["cinder"] not in simulator.log_file.read_text()


def test_a_copy_into_a_full_flexvol_fails_its_job(tmp_path):
    with process.running(tmp_path, FLEXVOLS) as simulator:
        for name in ("a", "b"):
            path = simulator.flexvols["fv1" if name == "a" else "fv2"] / name
            path.write_bytes(os.urandom(256 * MIB))
        item = {"source": {"path": "fv1/a"}, "destination": {"path": "fv2/c"}}
        answer = simulator.api(
            "POST",
            "/storage/file/copy?return_timeout=120",
            json={"files_to_copy": [item]},
        )
        assert answer.status_code == 500
        assert answer.json()["error"]["code"] == "6684700"
        [job] = simulator.api("GET", "/cluster/jobs?fields=*").json()["records"]
        assert job["state"] == "failure"
        assert "No space left" in job["message"]
