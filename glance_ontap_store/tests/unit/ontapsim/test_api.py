# SPDX-License-Identifier: Apache-2.0
"""The REST API over plain directories: answers, and errors of ONTAP's shape."""

import logging

import pytest

UNKNOWN = "11111111-0000-4000-8000-000000000001"
VOLUMES = "/api/storage/volumes"


def error_of(answer):
    """Return status and code; checks that the body has ONTAP's shape."""
    error = answer.json["error"]
    assert error["message"]
    assert isinstance(error["code"], str)
    return answer.status_code, error["code"]


# Who asks


@pytest.mark.parametrize(
    ("user", "password"), [("cinder", "wrong"), ("stranger", None), ("cinder", "")]
)
def test_wrong_login(api, user, password):
    answer = api("GET", "/api/cluster", user=user, password=password or "x")
    assert error_of(answer) == (401, "6691623")
    assert "WWW-Authenticate" in answer.headers


def test_no_login(api):
    assert error_of(api._client.get("/api/cluster")) == (401, "6691623")


def test_a_readonly_login_may_only_read(api):
    assert api("GET", VOLUMES, user="viewer").status_code == 200
    path = f"{VOLUMES}/{api.uuid('fv1')}/files/a"
    assert error_of(api("DELETE", path, user="viewer")) == (403, "6")
    clone = api("POST", "/api/storage/file/clone", {}, user="viewer")
    assert error_of(clone) == (403, "6")


def test_an_svm_login_sees_its_svm_and_not_the_cluster(api):
    assert error_of(api("GET", "/api/cluster/nodes", user="svmadmin")) == (403, "6")
    assert error_of(api("GET", "/api/storage/disks", user="svmadmin")) == (403, "6")
    found = api.get(VOLUMES, user="svmadmin")["records"]
    assert [record["name"] for record in found] == ["fv1", "fv2"]


def test_a_login_without_a_role(api):
    assert error_of(api("GET", "/api/cluster", user="nobody")) == (403, "6")


def test_the_svm_header_limits_to_that_svm(api):
    found = api.get(VOLUMES, svm="svm2")["records"]
    assert [record["name"] for record in found] == ["other"]
    assert api.get(VOLUMES)["num_records"] == 3
    path = f"{VOLUMES}/{api.uuid('fv1')}"
    assert error_of(api("GET", path, svm="svm2")) == (404, "4")
    assert error_of(api("GET", VOLUMES, svm="svm9")) == (404, "2621462")


# What is asked


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/protocols/san/portsets", None),
        ("POST", "/api/storage/qtrees", {"name": "x"}),
        ("PUT", "/api/cluster", {}),
        ("OPTIONS", "/api/cluster", None),
        ("GET", "/servlets/netapp.servlets.admin.XMLrequest_filer", None),
        ("POST", "/servlets/netapp.servlets.admin.XMLrequest", None),
        ("GET", "/", None),
    ],
)
def test_an_unknown_request_is_answered_501_and_logged(api, caplog, method, path, body):
    with caplog.at_level(logging.ERROR):
        assert error_of(api(method, path, body)) == (501, "3")
    assert method in caplog.text
    assert path in caplog.text


def test_known_requests_log_no_error(api, caplog):
    with caplog.at_level(logging.WARNING):
        api.get("/api/cluster")
        api("GET", f"{VOLUMES}/{UNKNOWN}")
    assert not caplog.records


@pytest.mark.parametrize(
    "path",
    [
        f"{VOLUMES}/{UNKNOWN}",
        f"{VOLUMES}/{UNKNOWN}/files/a",
        f"{VOLUMES}/{UNKNOWN}/snapshots",
        f"/api/cluster/jobs/{UNKNOWN}",
        f"/api/cluster/nodes/{UNKNOWN}",
        f"/api/storage/aggregates/{UNKNOWN}",
        f"/api/storage/qos/policies/{UNKNOWN}",
        f"/api/svm/svms/{UNKNOWN}",
        f"/api/network/ip/interfaces/{UNKNOWN}",
        "/api/cluster/counter/tables/none",
    ],
)
def test_missing_objects_are_reported(api, path):
    assert error_of(api("GET", path)) == (404, "4")


@pytest.mark.parametrize(
    "path",
    [
        "/api/storage/volumes?name=fv1",
        "/api//storage/volumes/?name=fv1",
        "/api/storage//volumes///?name=fv1",
        "/api/%73torage/volumes?name=fv1",
    ],
)
def test_slashes_do_not_matter(api, path):
    assert api.get(path)["records"][0]["name"] == "fv1"


def test_a_body_that_is_not_json(api):
    answer = api._client.post(
        "/api/storage/file/clone", data="{", auth=("cinder", "pw-cinder")
    )
    assert error_of(answer) == (400, "262175")


# FlexVols


def test_a_volume_shows_its_space_and_names(api):
    path = f"{VOLUMES}?nas.path=/fv1&fields=space,aggregates.name,svm.name"
    record = api.get(path)["records"][0]
    space = record["space"]
    assert space["size"] == 1 << 30
    assert space["used"] + space["available"] <= space["afs_total"]
    assert record["svm"]["name"] == "svm1"
    assert [aggregate["name"] for aggregate in record["aggregates"]] == ["aggr1"]


def test_fields_that_a_volume_may_lack_can_be_asked_for(api):
    path = f"{VOLUMES}?name=fv1&fields=qos.policy.name,consistency_group"
    assert "qos" not in api.get(path)["records"][0]
    uuid = api.uuid("fv1")
    assert "qos" not in api.get(f"{VOLUMES}/{uuid}?fields=qos.policy.name")


def test_a_volume_is_made_grown_moved_and_deleted(api):
    body = {
        "name": "fresh",
        "svm": {"name": "svm1"},
        "aggregates": [{"name": "aggr1"}],
        "size": 1 << 30,
        "nas": {"path": "/fresh"},
    }
    assert api.job("POST", VOLUMES, body)["state"] == "success"
    path = f"{VOLUMES}/{api.uuid('fresh')}"
    assert api.job("PATCH", path, {"size": 2 << 30})["state"] == "success"
    assert api.get(path)["space"]["size"] == 2 << 30
    assert api.job("PATCH", path, {"nas.path": "/moved"})["state"] == "success"
    assert api.get(f"{VOLUMES}?nas.path=/moved")["num_records"] == 1
    assert api.job("DELETE", path)["state"] == "success"
    assert error_of(api("GET", path)) == (404, "4")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"name": "fv1"}, (409, "917831")),
        ({"name": "a-b"}, (400, "262197")),
        ({"svm": {"name": "svm9"}}, (404, "2621462")),
        ({"nas": {"path": "/fv1"}}, (409, "1")),
        ({"nas": {"path": "x"}}, (400, "262197")),
        ({"aggregates": [{"name": "aggr9"}]}, (404, "4")),
        ({"size": "big"}, (400, "262197")),
        ({"style": "flexgroup"}, (501, "3")),
    ],
)
def test_a_volume_that_cannot_be_made(api, change, expected):
    body = {"name": "fresh", "svm": {"name": "svm1"}, "size": 1 << 30, **change}
    assert error_of(api("POST", VOLUMES, body)) == expected
    assert api.get(VOLUMES)["num_records"] == 3


def test_shrinking_is_not_modelled_and_says_so(api):
    job = api.job("PATCH", f"{VOLUMES}/{api.uuid('fv1')}", {"size": 1 << 20})
    assert job["state"] == "failure"
    assert "does not model" in job["message"]


# Files


def test_the_directory_lists_its_files(api):
    (api.directory("fv1") / "volume-1").write_bytes(b"12345")
    (api.directory("fv1") / "d").mkdir()
    path = f"{VOLUMES}/{api.uuid('fv1')}/files"
    found = api.get(f"{path}?type=file&fields=size,name")["records"]
    assert [(record["name"], record["size"]) for record in found] == [("volume-1", 5)]
    names = [record["name"] for record in api.get(path)["records"]]
    assert names == [".", "..", "d", "volume-1"]


def test_one_file_is_described(api):
    folder = api.directory("fv1") / "d.x"
    folder.mkdir()
    (folder / "f").write_bytes(b"123")
    path = f"{VOLUMES}/{api.uuid('fv1')}/files/d%2Ex%2Ff?return_metadata=true"
    record = api.get(path)["records"][0]
    assert (record["path"], record["size"]) == ("d.x/f", 3)


@pytest.mark.parametrize("quoted", ["d%2Ff", "d/f", "d%2ff"])
def test_a_path_may_be_quoted_or_not(api, quoted):
    (api.directory("fv1") / "d").mkdir()
    (api.directory("fv1") / "d" / "f").touch()
    path = f"/api//storage/volumes/{api.uuid('fv1')}/files/{quoted}"
    assert api("DELETE", path, svm="svm1").status_code == 200
    assert not (api.directory("fv1") / "d" / "f").exists()


def test_a_percent_sign_in_a_name_is_taken_as_it_is(api):
    (api.directory("fv1") / "50%2F50").touch()
    path = f"{VOLUMES}/{api.uuid('fv1')}/files/50%252F50"
    assert api("DELETE", path).status_code == 200


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "GET"])
def test_a_missing_file_has_the_code_that_cinder_tests_for(api, method):
    path = f"{VOLUMES}/{api.uuid('fv1')}/files/none"
    body = {"path": "other"} if method == "PATCH" else None
    assert error_of(api(method, path, body)) == (404, "6684674")


def test_a_rename_takes_quoted_names_and_never_overwrites(api):
    for name in ("a.x", "b"):
        (api.directory("fv1") / name).write_text(name)
    path = f"{VOLUMES}/{api.uuid('fv1')}/files/a.x"
    assert error_of(api("PATCH", path, {"path": "b"})) == (409, "6684689")
    assert api("PATCH", path, {"path": "c%2Ey"}).status_code == 200
    assert (api.directory("fv1") / "c.y").read_text() == "a.x"
    assert (api.directory("fv1") / "b").read_text() == "b"


@pytest.mark.parametrize("path", ["..%2Fout", "d%2F..%2F..%2Fout", "link%2Fout"])
def test_no_path_leads_out_of_the_flexvol(api, path, tmp_path):
    (tmp_path / "flexvols" / "out").write_text("safe")
    (api.directory("fv1") / "link").symlink_to(tmp_path / "flexvols")
    answer = api("DELETE", f"{VOLUMES}/{api.uuid('fv1')}/files/{path}")
    assert error_of(answer) == (400, "262197")
    assert (tmp_path / "flexvols" / "out").read_text() == "safe"


def test_a_directory_that_is_not_empty_needs_recurse(api):
    (api.directory("fv1") / "d").mkdir()
    (api.directory("fv1") / "d" / "f").touch()
    path = f"{VOLUMES}/{api.uuid('fv1')}/files/d"
    assert error_of(api("DELETE", path)) == (409, "6684738")
    assert api("DELETE", f"{path}?recurse=true").status_code == 200
    assert not (api.directory("fv1") / "d").exists()


def test_the_root_of_a_flexvol_is_not_deleted(api):
    path = f"{VOLUMES}/{api.uuid('fv1')}/files/%2E?recurse=true"
    assert api("DELETE", path).status_code == 400
    assert api.directory("fv1").is_dir()


# Clone


def clone(api, **change):
    body = {
        "volume": {"uuid": api.uuid("fv1"), "name": "fv1"},
        "source_path": "a",
        "destination_path": "b",
        **change,
    }
    return api("POST", "/api//storage/file/clone", body, svm="svm1")


def end_of(api, answer):
    assert answer.status_code == 202, answer.get_data(as_text=True)
    link = answer.json["job"]["_links"]["self"]["href"]
    assert link.startswith("/api/cluster/jobs/")
    api.array.jobs.wait(link.rpartition("/")[2], 60)
    return api.get(link)


def test_a_clone_is_the_same_file_twice(api):
    (api.directory("fv1") / "a").write_bytes(b"x" * 10_000)
    assert end_of(api, clone(api, is_backup=True))["state"] == "success"
    assert (api.directory("fv1") / "b").read_bytes() == b"x" * 10_000


def test_a_quick_clone_has_ended_when_it_is_answered(api):
    # Cinder's driver polls at once and then only after two seconds.
    (api.directory("fv1") / "a").touch()
    link = clone(api).json["job"]["_links"]["self"]["href"]
    assert api.get(f"{link}?max_records=10000")["state"] == "success"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"source_path": "none"}, 6684674),
        ({"source_path": "d"}, 6684693),
        ({"destination_path": "there"}, 6684689),
        ({"destination_path": "none/b"}, 6684674),
        ({"destination_path": "../b"}, 262197),
    ],
)
def test_a_clone_that_fails_has_a_job_that_says_why(api, change, code):
    (api.directory("fv1") / "a").write_text("a")
    (api.directory("fv1") / "d").mkdir()
    (api.directory("fv1") / "there").write_text("there")
    job = end_of(api, clone(api, **change))
    assert (job["state"], job["code"]) == ("failure", code)
    assert job["error"] == {
        "message": job["message"],
        "code": str(code),
        "target": "path",
    }
    assert (api.directory("fv1") / "there").read_text() == "there"
    assert not (api.directory("fv1") / "b").exists()


def test_a_clone_overwrites_only_when_told(api):
    (api.directory("fv1") / "a").write_text("new")
    (api.directory("fv1") / "b").write_text("old")
    job = end_of(api, clone(api, overwrite_destination=True))
    assert job["state"] == "success"
    assert (api.directory("fv1") / "b").read_text() == "new"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"volume": {"uuid": UNKNOWN}}, (404, "917927")),
        ({"volume": {"name": "none"}}, (404, "917927")),
        ({"volume": {"name": "other"}}, (404, "917927")),
        ({"volume": {}}, (404, "917927")),
        ({"range": ["0:0"]}, (400, "262197")),
        ({"range": ["0:0:0"]}, (400, "262197")),
        ({"range": ["0:0:4", "3:9:1"]}, (400, "262197")),
        ({"range": ["0:0:4", "8:3:1"]}, (400, "262197")),
        ({"range": ["0:1:2"], "destination_path": "a"}, (400, "262197")),
    ],
)
def test_a_clone_that_makes_no_sense_is_refused_at_once(api, change, expected):
    assert error_of(clone(api, **change)) == expected


def test_a_uuid_and_a_name_of_two_volumes_are_refused(api):
    change = {"volume": {"uuid": api.uuid("fv1"), "name": "fv2"}}
    assert error_of(clone(api, **change)) == (404, "917927")


@pytest.mark.parametrize("name", ["volume", "source_path", "destination_path"])
def test_a_clone_needs_volume_source_and_destination(api, name):
    body = {"volume": {"name": "fv1"}, "source_path": "a", "destination_path": "b"}
    del body[name]
    answer = api("POST", "/api/storage/file/clone", body)
    assert error_of(answer) == (400, "262186")
    assert answer.json["error"]["target"] == name


def test_a_range_of_blocks_is_cloned(api):
    (api.directory("fv1") / "a").write_bytes(b"1" * 4096 + b"2" * 4096)
    job = end_of(api, clone(api, range=["1:0:1"]))
    assert job["state"] == "success"
    assert (api.directory("fv1") / "b").read_bytes() == b"2" * 4096


def test_a_range_past_the_end_fails(api):
    (api.directory("fv1") / "a").write_bytes(b"1" * 4096)
    assert end_of(api, clone(api, range=["1:0:1"]))["code"] == 262197


def test_return_timeout_gives_the_end_instead_of_the_job(api):
    (api.directory("fv1") / "a").touch()
    body = {"volume": {"name": "fv1"}, "source_path": "a", "destination_path": "b"}
    path = "/api/storage/file/clone?return_timeout=60"
    assert api("POST", path, body).status_code == 201
    assert error_of(api("POST", path, body)) == (500, "6684689")


# Copy


def copy(api, source="fv1/a", destination="fv2/b", **volumes):
    ends = {"source": source, "destination": destination}
    names = {"source": "fv1", "destination": "fv2", **volumes}
    item = {
        side: {"path": path, "volume": {"uuid": api.uuid(names[side])}}
        for side, path in ends.items()
    }
    body = {"files_to_copy": [item]}
    return api.job("POST", "/api//storage/file/copy", body)


@pytest.mark.parametrize("prefix", ["fv1/", "", "svm1:fv1/", "/fv1/"])
def test_a_copy_goes_to_another_flexvol(api, prefix):
    (api.directory("fv1") / "a").write_bytes(b"x" * 5000)
    job = copy(api, source=f"{prefix}a")
    assert job["state"] == "success"
    assert (api.directory("fv2") / "b").read_bytes() == b"x" * 5000


def test_paths_alone_name_the_flexvols(api):
    (api.directory("fv1") / "a").write_bytes(b"x")
    item = {"source": {"path": "fv1/a"}, "destination": {"path": "svm1:fv2/b"}}
    job = api.job("POST", "/api/storage/file/copy", {"files_to_copy": [item]})
    assert job["state"] == "success"
    assert (api.directory("fv2") / "b").exists()


def test_a_copy_into_a_directory_keeps_the_name(api):
    (api.directory("fv1") / "a").write_text("x")
    (api.directory("fv2") / "d").mkdir()
    assert copy(api, destination="fv2/d")["state"] == "success"
    assert (api.directory("fv2") / "d" / "a").read_text() == "x"


def test_a_copy_of_a_missing_file_fails(api):
    job = copy(api, source="fv1/none")
    assert (job["state"], job["error"]["code"]) == ("failure", "6684674")


def test_a_copy_never_overwrites(api):
    (api.directory("fv1") / "a").write_text("new")
    (api.directory("fv2") / "b").write_text("old")
    assert copy(api)["code"] == 6684689
    assert (api.directory("fv2") / "b").read_text() == "old"


def test_a_copy_can_be_cancelled_as_cinder_does_it(api):
    (api.directory("fv1") / "a").write_text("x")
    api.faults.add({"action": "job_stuck", "path": "/storage/file/copy$"})
    item = {"source": {"path": "fv1/a"}, "destination": {"path": "fv2/b"}}
    answer = api("POST", "/api/storage/file/copy", {"files_to_copy": [item]})
    uuid = answer.json["job"]["uuid"]
    path = f"/api/cluster/jobs/{uuid}"
    assert api.get(f"{path}?fields=*")["state"] == "running"
    assert api("PATCH", path, {"action": "cancel"}).status_code == 200
    assert api.array.jobs.wait(uuid, 60).state == "failure"


# Snapshots and consistency groups


def test_a_snapshot_keeps_the_old_data(api):
    (api.directory("fv1") / "a").write_text("then")
    path = f"{VOLUMES}/{api.uuid('fv1')}/snapshots"
    assert api.job("POST", path, {"name": "s1"})["state"] == "success"
    (api.directory("fv1") / "a").write_text("now")
    job = end_of(api, clone(api, source_path=".snapshot/s1/a"))
    assert job["state"] == "success"
    assert (api.directory("fv1") / "b").read_text() == "then"
    found = api.get(f"{path}?name=s*&fields=name,volume,owners")["records"]
    assert [record["volume"]["name"] for record in found] == ["fv1"]
    renamed = {"name": "deleted_cinder_s1"}
    assert api.job("PATCH", f"{path}/{found[0]['uuid']}", renamed)["code"] == 0
    job = api.job("DELETE", f"{path}?name=deleted_cinder_*")
    assert job["state"] == "success"
    assert api.get(path)["num_records"] == 0
    assert not (api.directory("fv1") / ".snapshot" / "s1").exists()


def test_a_consistency_group_takes_a_snapshot_of_each_member(api):
    groups = "/api/application/consistency-groups"
    volumes = [
        {"name": name, "provisioning_options": {"action": "add"}}
        for name in ("fv1", "fv2")
    ]
    body = {"name": "cg", "svm": {"name": "svm1"}, "volumes": volumes}
    assert api.job("POST", groups, body)["state"] == "success"
    assert error_of(api("POST", groups, {**body, "name": "cg2"})) == (409, "1")
    found = api.get(f"{groups}?volumes.name=fv2&fields=name,uuid")["records"]
    path = f"{groups}/{found[0]['uuid']}"
    assert api.job("POST", f"{path}/snapshots", {"name": "s"})["state"] == "success"
    assert api.job("DELETE", path)["state"] == "success"
    for name in ("fv1", "fv2"):
        snapshots = f"{VOLUMES}/{api.uuid(name)}/snapshots"
        assert api.get(snapshots)["records"][0]["name"] == "s"


# QoS


def test_a_policy_is_made_assigned_renamed_and_swept(api):
    path = "/api/storage/qos/policies"
    body = {
        "name": "p",
        "svm": {"name": "svm1"},
        "fixed": {"max_throughput_iops": 10},
    }
    assert api.job("POST", path, body)["state"] == "success"
    assert error_of(api("POST", path, body)) == (409, "1")
    (api.directory("fv1") / "a").touch()
    file = f"{VOLUMES}/{api.uuid('fv1')}/files/a"
    assert api("PATCH", file, {"qos_policy.name": "p"}).status_code == 200
    assert error_of(api("PATCH", file, {"qos_policy.name": "q"})) == (404, "4")
    rename = api.job("PATCH", f"{path}?name=p", {"name": "deleted_cinder_p"})
    assert rename["state"] == "success"
    api("DELETE", f"{path}?name=deleted_cinder_*", svm="svm1")
    assert api.get(path)["num_records"] == 0


def test_sweeping_no_policies_is_not_an_error(api):
    answer = api("DELETE", "/api//storage/qos/policies?name=deleted_cinder_*")
    assert answer.status_code == 200


# Faults, log


def test_an_error_fault_answers_in_ontaps_shape(api):
    fault = {"action": "error", "status": 503, "code": "917", "message": "busy"}
    api.faults.add({**fault, "path": "^/api/cluster$", "count": 1})
    assert error_of(api("GET", "/api//cluster/")) == (503, "917")
    assert api("GET", "/api//cluster/").status_code == 200


def test_a_failed_job_does_nothing_but_fail(api):
    (api.directory("fv1") / "a").touch()
    api.faults.add({"action": "job_failed", "code": "42", "message": "no"})
    job = end_of(api, clone(api))
    assert (job["state"], job["error"]["code"]) == ("failure", "42")
    assert not (api.directory("fv1") / "b").exists()


def test_a_stuck_job_stays_running(api):
    (api.directory("fv1") / "a").touch()
    api.faults.add({"action": "job_stuck"})
    link = clone(api).json["job"]["_links"]["self"]["href"]
    assert api.get(link)["state"] == "running"
    assert not (api.directory("fv1") / "b").exists()


def test_a_reset_has_no_status_in_the_log(api):
    api.faults.add({"action": "reset"})
    with pytest.raises(ConnectionResetError):
        api("GET", "/api/cluster")
    assert [entry["status"] for entry in api.log.recent()] == [None]


def test_the_log_has_user_and_request_but_no_password(api):
    api("GET", "/api//cluster/?fields=version", user="viewer", svm="svm1")
    api("GET", "/api/cluster", user="cinder", password="wrong-secret")
    first, second = api.log.recent()
    assert first["path"] == "/api//cluster/?fields=version"
    assert (first["user"], first["svm"], first["status"]) == ("viewer", "svm1", 200)
    assert (second["user"], second["status"]) == ("cinder", 401)
    assert first["duration_s"] >= 0
    assert "pw-viewer" not in str(api.log.recent())
    assert "wrong-secret" not in str(api.log.recent())


def test_the_control_plane_needs_no_login_and_is_not_logged(api):
    client = api._client
    added = client.post("/_sim/faults", json={"action": "error", "path": "/x"})
    assert added.status_code == 201
    assert client.post("/_sim/faults", json={"action": "?"}).status_code == 400
    assert len(client.get("/_sim/faults").json["faults"]) == 1
    client.delete(f"/_sim/faults/{added.json['id']}")
    assert client.get("/_sim/faults").json == {"faults": []}
    api("GET", "/api/cluster")
    assert len(client.get("/_sim/requests").json["requests"]) == 1
    client.delete("/_sim/requests")
    assert client.get("/_sim/requests").json == {"requests": []}
