# SPDX-License-Identifier: Apache-2.0
"""LUNs and namespaces as files of plain directories: answers and errors."""

import os

import pytest

GIB = 1 << 30
MIB = 1 << 20
LUNS, NAMESPACES = "/api/storage/luns", "/api/storage/namespaces"
BOTH = pytest.mark.parametrize("base", [LUNS, NAMESPACES])
UNKNOWN = "11111111-0000-4000-8000-000000000001"


def error_of(answer):
    """Return status and code; checks that the body has ONTAP's shape."""
    error = answer.json["error"]
    assert error["message"]
    assert isinstance(error["code"], str)
    return answer.status_code, error["code"]


def make(api, name="/vol/fv1/a", base=LUNS, svm="svm1", **more):
    """Make a LUN or namespace of 1 GiB and return its record."""
    body = {"name": name, "os_type": "linux", "space": {"size": GIB}, **more}
    answer = api("POST", f"{base}?return_records=true", body, svm=svm)
    assert answer.status_code == 201, answer.json
    return answer.json["records"][0]


def show(api, unit, base=LUNS):
    """Return all of a LUN or namespace as it is now."""
    return api.get(f"{base}/{unit['uuid']}?fields=*")


def fill(path, size):
    """Write random bytes at the start of a file and return them."""
    data = os.urandom(size)
    with path.open("r+b") as file:
        file.write(data)
    return data


# Make


def test_a_lun_is_a_file_without_blocks(api):
    lun = make(api)
    path = api.directory("fv1") / "a"
    assert path.stat().st_size == GIB
    assert path.stat().st_blocks == 0
    assert lun["space"]["size"] == GIB
    assert lun["space"]["guarantee"] == {"requested": False, "reserved": False}
    assert lun["location"]["volume"]["uuid"] == api.uuid("fv1")
    assert lun["status"]["state"] == "online"
    assert len(lun["serial_number"]) == 12


def test_a_namespace_is_a_file_without_blocks(api):
    namespace = make(api, base=NAMESPACES)
    assert (api.directory("fv1") / "a").stat().st_size == GIB
    assert namespace["space"]["block_size"] == 4096
    assert "serial_number" not in namespace


def test_cinder_writes_numbers_and_truths_as_text_and_names_with_dots(api):
    body = {
        "name": "/vol/fv1/volume-1",
        "space.size": str(GIB),
        "os_type": "linux",
        "space.guarantee.requested": "false",
        "space.scsi_thin_provisioning_support_enabled": "true",
    }
    assert api("POST", LUNS, body, svm="svm1").status_code == 201
    [found] = api.get(f"{LUNS}?name=/vol/fv1/volume-1&fields=space")["records"]
    assert found["space"]["size"] == GIB
    assert found["space"]["scsi_thin_provisioning_support_enabled"] is True


def test_a_lun_is_named_by_its_location_too(api):
    location = {"volume": {"name": "fv2"}, "logical_unit": "b"}
    body = {"location": location, "os_type": "linux", "space": {"size": GIB}}
    assert api("POST", LUNS, body, svm="svm1").status_code == 201
    assert (api.directory("fv2") / "b").exists()


def test_serial_numbers_and_uuids_differ(api):
    luns = [make(api, f"/vol/fv1/{name}") for name in "abc"]
    assert len({lun["serial_number"] for lun in luns}) == 3
    assert len({lun["uuid"] for lun in luns}) == 3


def test_a_reserved_lun_has_its_blocks_at_once(api):
    space = {"size": 8 * MIB, "guarantee": {"requested": True}}
    lun = make(api, space=space)
    assert (api.directory("fv1") / "a").stat().st_blocks * 512 >= 8 * MIB
    assert lun["space"]["guarantee"]["requested"] is True


def test_space_allocation_is_off_by_default_before_9_15(api):
    assert not make(api)["space"]["scsi_thin_provisioning_support_enabled"]


LUN_ERRORS = [
    ({"name": "a"}, (400, "5374127")),
    ({"name": "/vol/fv1/../a"}, (400, "5374127")),
    ({"name": "/vol/fv1/.snapshot"}, (400, "5374127")),
    ({"name": "/vol/fv1/a b"}, (400, "5374121")),
    ({"name": "/vol/none/a"}, (404, "917927")),
    ({"name": "/vol/other/a"}, (404, "917927")),
    ({"os_type": None}, (400, "5374884")),
    ({"os_type": "beos"}, (400, "262197")),
    ({"space": {}}, (400, "5374884")),
    ({"space": {"size": "1G"}}, (400, "5374130")),
    ({"space": {"size": -1}}, (400, "5374124")),
    ({"space": {"size": 129 << 40}}, (400, "5374125")),
    ({"svm": {"name": "none"}}, (404, "2621462")),
    ({"clone": {"source": {"name": "/vol/fv1/b"}}}, (400, "5374883")),
    ({"qos_policy": {"name": "none"}}, (404, "4")),
    ({"attributes": [{"name": "a"}]}, (501, "3")),
    ({"space": {"size": GIB, "guarantee": {"requested": "maybe"}}}, (400, "262197")),
]


@pytest.mark.parametrize(("changed", "expected"), LUN_ERRORS)
def test_a_lun_that_cannot_be_made(api, changed, expected):
    body = {"name": "/vol/fv1/a", "os_type": "linux", "space": {"size": GIB}}
    answer = api("POST", LUNS, body | changed, svm="svm1")
    assert error_of(answer) == expected
    assert not list(api.directory("fv1").iterdir())


def test_a_cluster_login_must_say_which_svm(api):
    body = {"name": "/vol/fv1/a", "os_type": "linux", "space": {"size": GIB}}
    assert error_of(api("POST", LUNS, body)) == (400, "2621707")
    assert api("POST", LUNS, body | {"svm.name": "svm1"}).status_code == 201


@BOTH
def test_a_path_is_taken_by_luns_namespaces_and_files(api, base):
    make(api, "/vol/fv1/lun")
    make(api, "/vol/fv1/namespace", NAMESPACES)
    (api.directory("fv1") / "file").touch()
    code = {LUNS: "5374242", NAMESPACES: "72089725"}[base]
    for name in ("lun", "namespace", "file"):
        body = {"name": f"/vol/fv1/{name}", "os_type": "linux", "space.size": GIB}
        assert error_of(api("POST", base, body, svm="svm1")) == (409, code)


# Look


@BOTH
def test_units_are_found_by_name_flexvol_and_svm(api, base):
    make(api, "/vol/fv1/a", base)
    make(api, "/vol/fv2/b", base)
    make(api, "/vol/other/c", base, svm="svm2")

    def names(query, **options):
        found = api.get(f"{base}?{query}", **options)["records"]
        return [record["name"] for record in found]

    assert names("name=/vol/fv1/*") == ["/vol/fv1/a"]
    assert names("location.volume.name=fv2&svm.name=svm1") == ["/vol/fv2/b"]
    assert names("", svm="svm2") == ["/vol/other/c"]
    assert len(names("")) == 3


def test_luns_are_no_namespaces(api):
    lun = make(api)
    assert api.get(NAMESPACES)["num_records"] == 0
    answer = api("GET", f"{NAMESPACES}/{lun['uuid']}")
    assert error_of(answer) == (404, "72090006")


@BOTH
def test_a_unit_is_no_ordinary_file_to_cinders_nfs_driver(api, base):
    make(api, base=base)
    (api.directory("fv1") / "file").touch()
    path = f"/api/storage/volumes/{api.uuid('fv1')}/files"
    found = api.get(f"{path}?type=file&fields=name")["records"]
    assert [record["name"] for record in found] == ["file"]
    [shown] = api.get(f"{path}/a?return_metadata=true")["records"]
    assert shown["type"] == "lun"


@pytest.mark.parametrize(
    ("method", "base", "code"),
    [
        *((method, LUNS, "5374875") for method in ("GET", "PATCH", "DELETE")),
        *((method, NAMESPACES, "72090006") for method in ("GET", "PATCH", "DELETE")),
    ],
)
def test_a_unit_that_does_not_exist(api, method, base, code):
    assert error_of(api(method, f"{base}/{UNKNOWN}", {})) == (404, code)
    query = f"{base}?name=/vol/fv1/none"
    if method != "GET":
        assert error_of(api(method, query, {})) == (404, "4")


def test_an_svm_login_does_not_see_luns_of_another_svm(api):
    lun = make(api, "/vol/other/c", svm="svm2")
    assert api.get(LUNS, user="svmadmin")["num_records"] == 0
    path = f"{LUNS}/{lun['uuid']}"
    assert error_of(api("DELETE", path, user="svmadmin")) == (404, "5374875")


def test_a_readonly_login_makes_and_deletes_nothing(api):
    lun = make(api)
    assert error_of(api("POST", LUNS, {}, user="viewer")) == (403, "6")
    path = f"{LUNS}/{lun['uuid']}"
    assert error_of(api("DELETE", path, user="viewer")) == (403, "6")


# Clone


def clone(api, source, name, base=LUNS, **more):
    body = {"name": name, "clone": {"source": source}, **more}
    return api("POST", f"{base}?return_records=true", body, svm="svm1")


@BOTH
def test_a_clone_has_the_bytes_and_size_and_not_the_identity(api, base):
    source = make(api, base=base, comment="mine")
    data = fill(api.directory("fv1") / "a", MIB)
    answer = clone(api, {"name": "/vol/fv1/a"}, "/vol/fv1/b", base)
    assert answer.status_code == 201
    copy = answer.json["records"][0]
    path = api.directory("fv1") / "b"
    assert path.stat().st_size == GIB
    with path.open("rb") as file:
        assert file.read(MIB) == data
    assert copy["uuid"] != source["uuid"]
    assert copy["comment"] == ""
    assert copy["os_type"] == "linux"


def test_a_clone_by_uuid(api):
    source = make(api)
    assert clone(api, {"uuid": source["uuid"]}, "/vol/fv1/b").status_code == 201


@pytest.mark.parametrize(
    ("source", "name", "base", "expected"),
    [
        ({"name": "/vol/fv1/a"}, "/vol/fv2/b", LUNS, (400, "1260121")),
        ({"name": "/vol/fv1/a"}, "/vol/fv1/a", LUNS, (409, "1260136")),
        ({"name": "/vol/fv1/none"}, "/vol/fv1/b", LUNS, (404, "5374876")),
        ({"uuid": UNKNOWN}, "/vol/fv1/b", LUNS, (404, "5374875")),
        ({"name": "/vol/fv1/a"}, "/vol/fv1/b", NAMESPACES, (404, "72090007")),
        ({}, "/vol/fv1/b", LUNS, (404, "5374876")),
    ],
)
def test_a_clone_that_cannot_be(api, source, name, base, expected):
    make(api)
    assert error_of(clone(api, source, name, base)) == expected


def test_a_clone_of_a_lun_in_a_snapshot(api):
    make(api)
    path = api.directory("fv1") / "a"
    then = fill(path, MIB)
    snapshots = f"/api/storage/volumes/{api.uuid('fv1')}/snapshots"
    api.job("POST", snapshots, {"name": "s"})
    fill(path, MIB)
    answer = clone(api, {"name": "/vol/fv1/.snapshot/s/a"}, "/vol/fv1/b")
    assert answer.status_code == 201
    with (api.directory("fv1") / "b").open("rb") as file:
        assert file.read(MIB) == then
    answer = clone(api, {"name": "/vol/fv1/.snapshot/s/none"}, "/vol/fv1/c")
    assert error_of(answer) == (404, "5374876")


def space_of(api, name):
    [record] = api.get(f"/api/storage/volumes?name={name}&fields=space")["records"]
    return record["space"]


def test_each_reserved_clone_takes_its_whole_size_of_the_flexvol(api):
    make(api, space={"size": 300 * MIB})
    before = space_of(api, "fv1")
    wanted = {"space": {"guarantee": {"requested": True}}}
    for name in "bcd":
        source = {"name": "/vol/fv1/a"}
        assert clone(api, source, f"/vol/fv1/{name}", **wanted).status_code == 201
    after = space_of(api, "fv1")
    assert before["available"] - after["available"] == 900 * MIB
    assert after["used"] - before["used"] == 900 * MIB
    answer = clone(api, {"name": "/vol/fv1/a"}, "/vol/fv1/e", **wanted)
    assert error_of(answer) == (507, "6684700")
    assert clone(api, {"name": "/vol/fv1/a"}, "/vol/fv1/e").status_code == 201


# Change


@BOTH
def test_a_unit_grows_while_it_is_open(api, base):
    unit = make(api, base=base)
    data = fill(api.directory("fv1") / "a", MIB)
    with (api.directory("fv1") / "a").open("rb") as file:
        path = f"{base}/{unit['uuid']}"
        body = {"space.size": str(2 * GIB)}
        assert api("PATCH", path, body).status_code == 200
        assert os.fstat(file.fileno()).st_size == 2 * GIB
        assert file.read(MIB) == data
    assert show(api, unit, base)["space"]["size"] == 2 * GIB


def test_a_reserved_lun_grows_with_its_blocks(api):
    reserved = {"size": 4 * MIB, "guarantee": {"requested": True}}
    lun = make(api, space=reserved)
    path = f"{LUNS}/{lun['uuid']}"
    assert api("PATCH", path, {"space": {"size": 8 * MIB}}).status_code == 200
    assert (api.directory("fv1") / "a").stat().st_blocks * 512 >= 8 * MIB


@pytest.mark.parametrize(
    ("base", "body", "expected"),
    [
        (LUNS, {"space": {"size": GIB}}, (400, "1254226")),
        (LUNS, {"space": {"size": GIB - 4096}}, (400, "5374892")),
        (NAMESPACES, {"space": {"size": GIB - 4096}}, (400, "72090038")),
        (LUNS, {"space": {"size": "big"}}, (400, "5374130")),
        (LUNS, {"name": "/vol/fv1/b"}, (409, "5374242")),
        (LUNS, {"name": "/vol/fv2/b"}, (409, "5374242")),
        (LUNS, {"name": "/vol/none/b"}, (404, "917927")),
        (NAMESPACES, {"name": "/vol/fv2/c"}, (400, "5374127")),
        (LUNS, {"clone": {"source": {"name": "x"}}}, (501, "3")),
        (LUNS, {"space": {"guarantee": {"requested": True}}}, (501, "3")),
    ],
)
def test_a_change_that_is_refused_changes_nothing(api, base, body, expected):
    unit = make(api, base=base)
    make(api, "/vol/fv1/b")
    (api.directory("fv2") / "b").touch()
    before = show(api, unit, base)
    assert error_of(api("PATCH", f"{base}/{unit['uuid']}", body)) == expected
    assert show(api, unit, base) == before


def test_a_lun_goes_offline_and_is_described(api):
    lun = make(api)
    path = f"{LUNS}/{lun['uuid']}"
    body = {
        "enabled": False,
        "comment": "later",
        "space.scsi_thin_provisioning_support_enabled": True,
    }
    assert api("PATCH", path, body).status_code == 200
    after = show(api, lun)
    assert after["status"]["state"] == "offline"
    assert after["comment"] == "later"
    assert after["space"]["scsi_thin_provisioning_support_enabled"] is True


def test_a_qos_policy_is_kept_with_the_lun(api):
    api(
        "POST",
        "/api/storage/qos/policies?return_timeout=60",
        {"name": "gold"},
        svm="svm1",
    )
    lun = make(api, qos_policy={"name": "gold"})
    assert lun["qos_policy"] == {"name": "gold"}


@BOTH
def test_a_rename_by_query_keeps_uuid_and_bytes(api, base):
    unit = make(api, base=base)
    data = fill(api.directory("fv1") / "a", MIB)
    query = f"{base}/?svm.name=svm1&name=/vol/fv1/a"
    answer = api("PATCH", query, {"name": "/vol/fv1/new"}, svm="svm1")
    assert answer.status_code == 200
    assert show(api, unit, base)["name"] == "/vol/fv1/new"
    with (api.directory("fv1") / "new").open("rb") as file:
        assert file.read(MIB) == data
    assert not (api.directory("fv1") / "a").exists()


# Move and copy


def progress_of(api, name):
    fields = "movement.progress,copy.source.progress"
    [record] = api.get(f"{LUNS}?name={name}&fields={fields}")["records"]
    if "movement" in record:
        return record["movement"]["progress"]
    return record["copy"]["source"]["progress"]


def ended(api, name):
    """Look until a copy or a move has ended; each look is a request."""
    while True:
        found = progress_of(api, name)
        if found["state"] not in ("replicating", "preparing"):
            return found


def test_a_lun_moves_to_another_flexvol(api):
    lun = make(api)
    data = fill(api.directory("fv1") / "a", MIB)
    path = f"{LUNS}/{lun['uuid']}"
    assert api("PATCH", path, {"name": "/vol/fv2/a"}).status_code == 200
    assert ended(api, "/vol/fv2/a")["percent_complete"] == 100
    after = show(api, lun)
    assert after["location"]["volume"]["name"] == "fv2"
    assert after["serial_number"] == lun["serial_number"]
    paths = {"source": "/vol/fv1/a", "destination": "/vol/fv2/a"}
    assert after["movement"]["paths"] == paths
    with (api.directory("fv2") / "a").open("rb") as file:
        assert file.read(MIB) == data
    assert not (api.directory("fv1") / "a").exists()


def test_a_move_that_is_stuck_shows_its_new_name_and_can_be_cancelled(api):
    lun = make(api)
    api.faults.add({"action": "job_stuck", "count": 1})
    path = f"{LUNS}/{lun['uuid']}"
    assert api("PATCH", path, {"name": "/vol/fv2/a"}).status_code == 200
    assert progress_of(api, "/vol/fv2/a")["state"] == "replicating"
    for name in ("/vol/fv1/b", "/vol/fv2/b"):
        assert error_of(api("PATCH", path, {"name": name})) == (409, "7018919")
    assert error_of(api("PATCH", path, {"space.size": 2 * GIB})) == (501, "3")
    assert (api.directory("fv1") / "a").exists()
    assert api("DELETE", path).status_code == 200
    job_of(api, "LUN move")
    assert not list(api.directory("fv1").iterdir())
    assert not list(api.directory("fv2").iterdir())


def job_of(api, text):
    """Return the one job with this text in its description, when it has ended."""
    [job] = [job for job in api.array.jobs if text in job.description]
    return api.array.jobs.wait(job.uuid, 60)


def test_a_move_that_was_stuck_goes_on_when_its_fault_is_gone(api):
    make(api)
    data = fill(api.directory("fv1") / "a", MIB)
    api.faults.add({"action": "job_stuck", "count": 1, "after_bytes": MIB})
    answer = api("PATCH", f"{LUNS}?name=/vol/fv1/a", {"name": "/vol/fv2/a"})
    assert answer.status_code == 200
    assert progress_of(api, "/vol/fv2/a")["state"] == "replicating"
    api.faults.remove()
    assert ended(api, "/vol/fv2/a")["state"] == "complete"
    with (api.directory("fv2") / "a").open("rb") as file:
        assert file.read(MIB) == data


def test_a_move_into_a_flexvol_that_becomes_full_is_undone(api):
    make(api)
    data = fill(api.directory("fv1") / "a", MIB)
    fault = {"action": "job_failed", "cause": "full", "after_bytes": MIB}
    api.faults.add(fault)
    answer = api("PATCH", f"{LUNS}?name=/vol/fv1/a", {"name": "/vol/fv2/a"})
    assert answer.status_code == 200
    assert "No space left" in ended(api, "/vol/fv1/a")["failure"]["message"]
    with (api.directory("fv1") / "a").open("rb") as file:
        assert file.read(MIB) == data
    assert not list(api.directory("fv2").iterdir())


def test_a_move_that_fails_leaves_the_lun_at_its_old_place(api):
    lun = make(api)
    data = fill(api.directory("fv1") / "a", MIB)
    api.faults.add({"action": "job_failed", "code": "42", "message": "no"})
    path = f"{LUNS}/{lun['uuid']}"
    assert api("PATCH", path, {"name": "/vol/fv2/a"}).status_code == 200
    api.faults.remove()
    failure = ended(api, "/vol/fv1/a")
    assert failure["state"] == "failed"
    assert failure["failure"] == {"message": "no", "code": "42"}
    with (api.directory("fv1") / "a").open("rb") as file:
        assert file.read(MIB) == data
    assert not list(api.directory("fv2").iterdir())


def copy(api, source, name, svm="svm1"):
    body = {"name": name, "copy.source.name": source, "svm.name": svm}
    return api("POST", LUNS, body)


def test_a_copy_to_another_flexvol(api):
    lun = make(api)
    data = fill(api.directory("fv1") / "a", MIB)
    assert copy(api, "/vol/fv1/a", "/vol/fv2/b").status_code == 201
    assert ended(api, "/vol/fv2/b")["state"] == "complete"
    with (api.directory("fv2") / "b").open("rb") as file:
        assert file.read(MIB) == data
    [record] = api.get(f"{LUNS}?name=/vol/fv2/b&fields=space")["records"]
    assert record["space"]["size"] == GIB
    assert show(api, lun)["name"] == "/vol/fv1/a"


def test_a_copy_that_is_stuck_is_cancelled_by_deleting_the_new_lun(api):
    make(api)
    api.faults.add({"action": "job_stuck", "count": 1})
    assert copy(api, "/vol/fv1/a", "/vol/fv2/b").status_code == 201
    assert progress_of(api, "/vol/fv2/b")["state"] == "replicating"
    answer = api("DELETE", f"{LUNS}?name=/vol/fv2/b&svm.name=svm1")
    assert answer.status_code == 200
    assert job_of(api, "LUN copy").state == "failure"
    assert not list(api.directory("fv2").iterdir())


def test_a_copy_that_fails_says_why(api):
    make(api)
    api.faults.add({"action": "job_failed", "code": "42", "message": "no"})
    assert copy(api, "/vol/fv1/a", "/vol/fv2/b").status_code == 201
    api.faults.remove()
    assert ended(api, "/vol/fv2/b")["failure"]["code"] == "42"


@pytest.mark.parametrize(
    ("source", "name", "svm", "expected"),
    [
        ("/vol/fv1/none", "/vol/fv2/b", "svm1", (404, "5374876")),
        ("/vol/fv1/a", "/vol/fv1/a", "svm1", (409, "5374242")),
        ("/vol/fv1/a", "/vol/other/b", "svm2", (404, "5374876")),
    ],
)
def test_a_copy_that_cannot_be(api, source, name, svm, expected):
    make(api)
    assert error_of(copy(api, source, name, svm)) == expected


# Delete


@BOTH
def test_deleting_by_uuid_removes_the_file(api, base):
    unit = make(api, base=base)
    assert api("DELETE", f"{base}/{unit['uuid']}").status_code == 200
    assert not (api.directory("fv1") / "a").exists()
    assert api.get(base)["num_records"] == 0


@BOTH
def test_cinder_deletes_by_name_and_names_the_svm_shortly(api, base):
    make(api, base=base)
    path = f"{base}/?name=/vol/fv1/a&allow_delete_while_mapped=true"
    assert error_of(api("DELETE", f"{path}&svm=svm2")) == (404, "4")
    assert api("DELETE", f"{path}&svm=svm1").status_code == 200
    assert error_of(api("DELETE", f"{path}&svm=svm1")) == (404, "4")


def test_deleting_a_flexvol_forgets_its_luns(api):
    make(api, "/vol/fv2/a")
    api.job("DELETE", f"/api/storage/volumes/{api.uuid('fv2')}")
    assert api.get(LUNS)["num_records"] == 0


# Faults of requests that start no job


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", LUNS, {"name": "/vol/fv1/b", "clone.source.name": "/vol/fv1/a"}),
        ("PATCH", f"{LUNS}?name=/vol/fv1/a", {"space.size": 2 * GIB}),
        ("DELETE", f"{LUNS}?name=/vol/fv1/a", None),
    ],
)
def test_a_fault_of_jobs_strikes_requests_on_luns(api, method, path, body):
    lun = make(api)
    api.faults.add({"action": "job_failed", "code": "42", "message": "no"})
    assert api.job(method, path, body, svm="svm1")["code"] == 42
    api.faults.remove()
    assert show(api, lun)["space"]["size"] == GIB
    assert api.get(LUNS)["num_records"] == 1
