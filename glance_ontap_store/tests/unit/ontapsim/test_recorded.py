# SPDX-License-Identifier: Apache-2.0
"""Requests that Cinder's NetApp driver was recorded to send, as it sent them."""

import pytest

VOLUME_FILTER = (
    "type=rw&style=flex*&is_svm_root=false&error_state.is_inconsistent=false"
    "&state=online"
)
AGGREGATES = "/api//storage/aggregates"
COUNTERS = "/api//cluster/counter/tables"

# (URL, number of records, or None for one object)
RECORDED = [
    ("/api//cluster/?fields=version&max_records=10000", None),
    (
        "/api//cluster/nodes?fields=model,name,is_all_flash_optimized,"
        "is_all_flash_select_optimized&max_records=10000",
        1,
    ),
    (f"{AGGREGATES}?return_records=false?max_records=10000", 1),
    ("/api//storage/disks?return_records=false?max_records=10000", 1),
    ("/api//snapmirror/relationships?return_records=false?max_records=10000", 0),
    ("/api//storage/volumes?return_records=false?max_records=10000", 2),
    (
        f"{COUNTERS}/system:constituent?counter_schemas.name="
        "average_processor_busy_percent&fields=counter_schemas.*&max_records=10000",
        None,
    ),
    (
        f"{COUNTERS}/system:constituent/rows?counters.name="
        "average_processor_busy_percent&fields=counters.*&max_records=10000",
        1,
    ),
    (
        "/api//network/ip/interfaces/?state=up&fields=ip.address&max_records=10000",
        3,
    ),
    (
        f"/api//storage/volumes/?{VOLUME_FILTER}&fields=aggregates.name,name,"
        "svm.name,nas.path,type,guarantee.honored,guarantee.type,"
        "space.snapshot.reserve_percent,space.size,qos.policy.name,"
        "snapshot_policy,language,style&nas.path=/fv1&max_records=10000",
        1,
    ),
    (
        "/api//storage/volumes?efficiency.volume_path=/vol/fv1&fields="
        "efficiency.state,efficiency.compression&max_records=10000",
        1,
    ),
    (
        "/api//private/cli/volume/efficiency?volume=fv1&vserver=svm1&fields="
        "logical-data-size,logical-data-limit&max_records=10000",
        1,
    ),
    (
        "/api//snapmirror/relationships/?source.path=svm1:fv1&state=snapmirrored"
        "&return_records=false&max_records=10000",
        0,
    ),
    (
        "/api//storage/volumes/?encryption.enabled=true&name=fv1&svm.name=svm1"
        "&return_records=false&max_records=10000",
        0,
    ),
    (
        f"{AGGREGATES}?name=aggr1&fields=name,block_storage.primary.raid_type,"
        "block_storage.storage_type,home_node.name&max_records=10000",
        1,
    ),
    (
        f"{AGGREGATES}?name=aggr1&fields=space.block_storage.available,"
        "space.block_storage.size,space.block_storage.used&max_records=10000",
        1,
    ),
    (
        "/api//storage/disks?aggregates.name=aggr1&fields=effective_type"
        "&max_records=10000",
        1,
    ),
    (f"{COUNTERS}/wafl/rows?id=ontapsim-01:*&max_records=10000", 1),
    (
        f"{COUNTERS}/wafl/rows?id=ontapsim-01:wafl&counters.name="
        "total_cp_msecs%7Ccp_phase_times&fields=id,counter_table.name,counters.*"
        "&max_records=10000",
        1,
    ),
    (
        f"{COUNTERS}/processor?counter_schemas.name=domain_busy_percent"
        "&fields=counter_schemas.*&max_records=10000",
        None,
    ),
    (
        "/api//storage/file/clone/split-status?volume.name=fv1&svm.name=svm1"
        "&max_records=10000",
        0,
    ),
    (
        "/api//network/ip/interfaces/?ip.address=127.0.0.1&fields=svm"
        "&max_records=10000",
        1,
    ),
    (
        f"/api//storage/volumes/?{VOLUME_FILTER}&fields=name,style&nas.path=/fv1"
        "&svm.name=svm1&max_records=10000",
        1,
    ),
    (
        f"/api//storage/volumes/?{VOLUME_FILTER}&fields=name,style&name=/fv1"
        "&max_records=10000",
        0,
    ),
    (
        f"/api//storage/volumes/?{VOLUME_FILTER}&svm.name=svm1&fields=name,uuid"
        "&max_records=10000",
        2,
    ),
    (
        "/api//storage/luns/?location.volume.name=fv1&svm.name=svm1"
        "&fields=space.size,name&max_records=10000",
        0,
    ),
]


@pytest.mark.parametrize(("url", "records"), RECORDED)
def test_a_recorded_request_is_answered(api, url, records):
    body = api.get(url, svm="svm1")
    if records is None:
        assert body["name"]
    else:
        assert body["num_records"] == records
        assert len(body.get("records", [])) in (0, records)


def test_a_message_to_ems_is_kept(api):
    body = {"computer_name": "vm", "event_id": "0"}
    path = "/api//support/ems/application-logs"
    assert api("POST", path, body, svm="svm1").status_code == 201
    assert api.array.ems == [body]


def test_an_unknown_counter_value_of_the_driver_grows(api):
    path = f"{COUNTERS}/system:constituent/rows?fields=counters.*"

    def values():
        counters = api.get(path)["records"][0]["counters"]
        return [counter["value"] for counter in counters]

    first, second = values(), values()
    assert all(b >= a for a, b in zip(first, second, strict=True))


def test_the_bytes_of_a_file_alone_are_shown_as_by_the_cli(api):
    (api.directory("fv1") / "img-cache-1").write_bytes(b"x" * 8192)
    path = "/api//private/cli/volume/file/show-disk-usage?vserver=svm1&path=/vol/fv1/"
    assert api.get(f"{path}img-cache-1")["unique_bytes"].endswith("KB")
    missing = api("GET", f"{path}none")
    assert missing.json["error"]["code"] == "917806"
