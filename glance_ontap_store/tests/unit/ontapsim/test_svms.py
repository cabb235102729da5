# SPDX-License-Identifier: Apache-2.0
"""Two SVMs, junction paths, a FlexGroup, and copies that end badly."""

import pytest

GIB = 1 << 30
MIB = 1 << 20
COPY = "/api/storage/file/copy"
CLONE = "/api/storage/file/clone"
PEERS = "/api/svm/peers"
# The query of Cinder's driver for a FlexVol.
BY_DRIVER = (
    "/api//storage/volumes/?type=rw&style=flex*&is_svm_root=false"
    "&error_state.is_inconsistent=false&state=online&fields=name,style"
)


@pytest.fixture
def array(api):
    """SVM 1 has fv1 and fv2; SVM 2 has an fv2 too, "gold" elsewhere, a FlexGroup."""
    api.array.add_volume("svm2", "fv2", GIB, "/fv2")
    api.array.add_volume("svm2", "gold", GIB, "/old/gold")
    api.array.add_volume("svm2", "gold_new", GIB, "/gold")
    api.array.add_volume("svm2", "group", GIB, "/group", style="flexgroup")
    return api.array


def volume(array, svm, name):
    (found,) = (each for each in array.volumes(svm) if each.name == name)
    return found


def copied(api, source, destination, path="a"):
    """Copy a file as Cinder's driver does; return the answer."""
    ends = {"source": source, "destination": destination}
    item = {
        side: {"path": f"{end.name}/{path}", "volume": {"uuid": end.uuid}}
        for side, end in ends.items()
    }
    return api("POST", COPY, {"files_to_copy": [item]})


def job_of(api, answer):
    assert answer.status_code == 202, answer.get_data(as_text=True)
    uuid = answer.json["job"]["uuid"]
    api.array.jobs.wait(uuid, 60)
    return api.get(f"/api/cluster/jobs/{uuid}?fields=*")


def clone(api, svm, name):
    body = {"volume": {"name": name}, "source_path": "a", "destination_path": "b"}
    return job_of(api, api("POST", CLONE, body, svm=svm))


def error_of(answer):
    return answer.status_code, answer.json["error"]["code"]


def test_flexvols_of_one_name_in_two_svms_are_two(api, array):
    (volume(array, "svm1", "fv2").directory / "a").write_text("one")
    (volume(array, "svm2", "fv2").directory / "a").write_text("two")
    assert clone(api, "svm2", "fv2")["state"] == "success"
    assert (volume(array, "svm2", "fv2").directory / "b").read_text() == "two"
    assert not (volume(array, "svm1", "fv2").directory / "b").exists()
    assert len({each.uuid for each in array.volumes()}) == len(array.volumes())


def test_an_svm_does_not_see_the_flexvols_of_the_other(api, array):
    body = {"volume": {"name": "fv1"}, "source_path": "a", "destination_path": "b"}
    assert error_of(api("POST", CLONE, body, svm="svm2")) == (404, "917927")
    assert not api.get(f"{BY_DRIVER}&name=fv1", svm="svm2")["records"]


def test_each_svm_has_its_own_address(api):
    found = api.get("/api//network/ip/interfaces/?ip.address=127.0.0.2&fields=svm")
    assert [each["svm"]["name"] for each in found["records"]] == ["svm2"]


def test_a_junction_path_leads_to_its_flexvol_whatever_the_name(api, array):
    found = api.get(f"{BY_DRIVER}&nas.path=/gold&svm.name=svm2", svm="svm2")
    assert [each["name"] for each in found["records"]] == ["gold_new"]
    found = api.get(f"{BY_DRIVER}&nas.path=/old/gold", svm="svm2")
    assert [each["name"] for each in found["records"]] == ["gold"]


def test_a_flexgroup_says_so(api, array):
    (found,) = api.get(f"{BY_DRIVER}&name=group", svm="svm2")["records"]
    assert found["style"] == "flexgroup"


def test_files_are_cloned_in_a_flexgroup(api, array):
    (volume(array, "svm2", "group").directory / "a").write_text("x")
    assert clone(api, "svm2", "group")["state"] == "success"
    assert (volume(array, "svm2", "group").directory / "b").read_text() == "x"


@pytest.mark.parametrize(
    "names", [("gold", "group"), ("group", "gold")], ids=["into it", "out of it"]
)
def test_files_are_not_copied_with_a_flexgroup(api, array, names):
    ends = [volume(array, "svm2", name) for name in names]
    (ends[0].directory / "a").write_text("x")
    assert error_of(copied(api, *ends)) == (400, "6684717")
    assert not (ends[1].directory / "a").exists()


# Between the SVMs


def peer(api):
    """Ask for a peering as Cinder's driver does."""
    body = {"svm.name": "svm1", "name": "svm2", "applications": ["file_copy"]}
    return job_of(api, api("POST", PEERS, body))


def test_a_peering_is_seen_from_both_svms(api):
    assert peer(api)["state"] == "success"
    query = "fields=svm.name,state,peer.svm.name,peer.cluster.name,applications"
    (found,) = api.get(f"{PEERS}?{query}&name=svm2&svm.name=svm1")["records"]
    assert found["applications"] == ["file_copy"]
    assert found["state"] == "peered"
    assert found["peer"]["svm"]["name"] == "svm2"
    assert found["peer"]["cluster"]["name"] == api.array.cluster.name
    (other,) = api.get(f"{PEERS}?svm.name=svm2")["records"]
    assert other["name"] == "svm1"
    assert peer(api)["state"] == "failure"
    assert job_of(api, api("DELETE", f"{PEERS}/{found['uuid']}"))["state"] == "success"
    assert api.get(PEERS)["num_records"] == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"svm.name": "svm1", "applications": ["file_copy"]}, "262186"),
        ({"name": "svm2", "applications": ["file_copy"]}, "262186"),
        ({"svm.name": "svm1", "name": "svm2"}, "262186"),
    ],
)
def test_a_peering_needs_both_svms_and_an_application(api, body, code):
    assert error_of(api("POST", PEERS, body)) == (400, code)


def test_a_file_goes_to_another_svm_only_between_peers(api, array):
    ends = volume(array, "svm1", "fv1"), volume(array, "svm2", "gold")
    (ends[0].directory / "a").write_text("x")
    assert copied(api, *ends).status_code == 400
    peer(api)
    assert job_of(api, copied(api, *ends))["state"] == "success"
    assert (ends[1].directory / "a").read_text() == "x"


# Copies that end badly


@pytest.fixture
def ends(api, array):
    """A FlexVol with a file of 12 MiB, and another FlexVol."""
    source = volume(array, "svm1", "fv1")
    (source.directory / "a").write_bytes(b"x" * 12 * MIB)
    return source, volume(array, "svm1", "fv2")


def test_the_target_becomes_full_in_the_middle_of_a_copy(api, ends):
    api.faults.add(
        {"action": "job_failed", "cause": "full", "after_bytes": 8 * MIB, "body": "/a"}
    )
    job = job_of(api, copied(api, *ends))
    assert job["state"] == "failure"
    assert job["error"]["code"] == "6684700"
    assert job["error"]["message"] == "No space left on device: a"
    # What was copied stays, as Cinder's driver says.
    assert (ends[1].directory / "a").stat().st_size == 8 * MIB


def test_a_copy_hangs_in_the_middle_until_it_is_cancelled(api, ends):
    api.faults.add({"action": "job_stuck", "after_bytes": 4 * MIB})
    uuid = copied(api, *ends).json["job"]["uuid"]
    assert api.array.jobs.wait(uuid, 0.1).state == "running"
    assert api("PATCH", f"/api/cluster/jobs/{uuid}", {"action": "cancel"}).json == {}
    assert api.array.jobs.wait(uuid, 60).state == "failure"
    assert (ends[1].directory / "a").stat().st_size <= 4 * MIB


def test_a_copy_that_hung_goes_on_when_its_fault_is_deleted(api, ends):
    fault = api.faults.add({"action": "job_stuck", "after_bytes": 4 * MIB})
    uuid = copied(api, *ends).json["job"]["uuid"]
    assert api.array.jobs.wait(uuid, 0.1).state == "running"
    api.faults.remove(fault.id)
    assert api.array.jobs.wait(uuid, 60).state == "success"
    assert (ends[1].directory / "a").read_bytes() == b"x" * 12 * MIB


def test_a_fault_of_another_file_does_not_strike(api, ends):
    api.faults.add({"action": "job_failed", "cause": "full", "body": "/other"})
    assert job_of(api, copied(api, *ends))["state"] == "success"


def test_a_node_takes_no_more_clones(api, ends):
    api.faults.add({"action": "job_failed", "cause": "split_load", "path": "clone$"})
    job = clone(api, "svm1", "fv1")
    assert job["error"]["code"] == "6684688"
    assert job["error"]["message"] == (
        "Device busy: b. Reason: Reached maximum split load allowed on the node."
    )
    assert not (ends[0].directory / "b").exists()
