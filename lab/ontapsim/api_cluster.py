# SPDX-License-Identifier: Apache-2.0
"""Requests about the cluster: itself, nodes, jobs, counters, network, SVMs, EMS."""

from dataclasses import replace
import time
from typing import Any

from lab.ontapsim import errors
from lab.ontapsim import records
from lab.ontapsim.call import Call
from lab.ontapsim.call import Reply
from lab.ontapsim.query import expand_dots


def get_cluster(call: Call) -> Reply:
    """Page "GET /cluster"."""
    return call.instance(records.cluster(call.array))


def list_nodes(call: Call) -> Reply:
    """Page "GET /cluster/nodes"."""
    return call.collection([records.node(call.array)])


def get_node(call: Call, uuid: str) -> Reply:
    """Page "GET /cluster/nodes/{uuid}"."""
    if uuid != call.array.node.uuid:
        raise errors.no_entry()
    return call.instance(records.node(call.array))


# Jobs


def list_jobs(call: Call) -> Reply:
    """Page "GET /cluster/jobs"."""
    found = [records.job(job) for job in call.array.jobs]
    optional = ("end_time", "error.message", "error.code", "svm.name", "state")
    return call.collection(found, keys=("uuid",), optional=optional)


def get_job(call: Call, uuid: str) -> Reply:
    """Page "GET /cluster/jobs/{uuid}"."""
    return Reply(records.job(call.array.jobs.get(uuid)))


def change_job(call: Call, uuid: str) -> Reply:
    """Page "PATCH /cluster/jobs/{uuid}": only ``cancel`` is modelled.

    Documented as a query parameter; Cinder's driver sends it in the body.
    """
    _, options = call.query.without("action")
    action = options.get("action") or call.body.get("action")
    if action != "cancel":
        raise errors.not_modelled(f"PATCH of a job with action {action!r}")
    call.array.jobs.cancel(uuid)
    return Reply()


# Network and SVMs


def list_interfaces(call: Call) -> Reply:
    """Page "GET /network/ip/interfaces"."""
    array = call.array
    found = [lif for lif in array.lifs if call.svm in (None, lif.svm)]
    return call.collection([records.lif(lif, array.node.name) for lif in found])


def get_interface(call: Call, uuid: str) -> Reply:
    """Page "GET /network/ip/interfaces/{uuid}"."""
    for lif in call.array.lifs:
        if lif.uuid == uuid:
            return call.instance(records.lif(lif, call.array.node.name))
    raise errors.no_entry()


def list_svms(call: Call) -> Reply:
    """Page "GET /svm/svms"."""
    found = [svm for svm in call.array.svms.values() if call.svm in (None, svm.name)]
    return call.collection([records.svm(svm) for svm in found])


def get_svm(call: Call, uuid: str) -> Reply:
    """Page "GET /svm/svms/{uuid}"."""
    for svm in call.array.svms.values():
        if svm.uuid == uuid:
            return call.instance(records.svm(svm))
    raise errors.no_entry()


def list_svm_peers(call: Call) -> Reply:
    """Page "GET /svm/peers"."""
    found = [records.svm_peer(call.array, peer) for peer in call.array.peers(call.svm)]
    optional = (
        "svm.name",
        "state",
        "peer.svm.name",
        "peer.cluster.name",
        "applications",
    )
    return call.collection(found, optional=optional)


def post_svm_peer(call: Call) -> Reply:
    """Page "POST /svm/peers": of two SVMs of this cluster, as a job.

    The page wants ``peer.svm.name``. Cinder's driver sends the peer's name as
    ``name``, as page "vserver peer" of the ONTAPI-to-REST mapping has it.
    """
    body = expand_dots(call.body)
    expanded = replace(call, body=body)
    svm = str(expanded.required("svm", "name"))
    applications = expanded.required("applications")
    cluster = body.get("peer", {}).get("cluster", {}).get("name")
    if cluster not in (None, call.array.cluster.name):
        raise errors.not_modelled("an SVM peer in another cluster")
    peer = body.get("peer", {}).get("svm", {}).get("name") or body.get("name")
    if not peer:
        raise errors.missing_value("peer.svm.name")
    return call.start_job(
        lambda control: call.array.add_peers(svm, str(peer), applications),
        created=f"/svm/peers/?svm.name={svm}&name={peer}",
    )


def delete_svm_peer(call: Call, uuid: str) -> Reply:
    """Page "DELETE /svm/peers/{uuid}": as a job."""
    return call.start_job(lambda control: call.array.remove_peers(uuid))


# Messages


def post_ems_log(call: Call) -> Reply:
    """Page "POST /support/ems/application-logs"."""
    call.array.ems.append(call.body)
    return Reply(status=201)


# Performance counters


def _tables(node: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return each counter: its table, its value now, what it is divided by.

    Page "GET /cluster/counter/tables". The values only need to grow: a node that
    is 10 % busy for ever.
    """
    now_us = time.time_ns() // 1000
    busy = now_us // 10
    phases = ["cp_setup", "cp_pre_p0", "cp_p0_snap_del", "cp_p1_clean", "cp_p2_flush"]
    return {
        "system:constituent": {
            "average_processor_busy_percent": {
                "value": busy,
                "denominator": "cpu_elapsed_time",
            },
            "cpu_elapsed_time": {"value": now_us},
        },
        "wafl": {
            "total_cp_msecs": {"value": busy // 1000},
            "cp_phase_times": {
                "values": [busy // 10**4] * len(phases),
                "labels": phases,
                "denominator": "total_cp_msecs",
            },
        },
        "processor": {
            "domain_busy_percent": {
                "values": [now_us - busy, busy],
                "labels": ["idle", "kahuna"],
                "denominator": "elapsed_time",
            },
            "elapsed_time": {"value": now_us},
        },
    }


def get_counter_table(call: Call, table: str) -> Reply:
    """Page "GET /cluster/counter/tables/{name}", filtered by counter."""
    counters = _counters(call, table)
    wanted = call.query.filters.get("counter_schemas.name", "*")
    schemas = []
    for name, counter in counters.items():
        schema: dict[str, Any] = {"name": name}
        if "denominator" in counter:
            schema["denominator"] = {"name": counter["denominator"]}
        if _named(name, wanted):
            schemas.append(schema)
    return Reply({"name": table, "counter_schemas": schemas})


def list_counter_rows(call: Call, table: str) -> Reply:
    """Page "GET /cluster/counter/tables/{table}/rows": one row for the node."""
    counters = _counters(call, table)
    wanted = call.query.filters.get("counters.name", "*")
    shown = ("value", "values", "labels")
    row = {
        "id": f"{call.array.node.name}:{table}",
        "counter_table": {"name": table},
        "counters": [
            {"name": name, **{k: counter[k] for k in shown if k in counter}}
            for name, counter in counters.items()
            if _named(name, wanted)
        ],
    }
    optional = ("counters.name",)
    return call.collection([row], keys=("id",), optional=optional)


def _counters(call: Call, table: str) -> dict[str, dict[str, Any]]:
    tables = _tables(call.array.node.name)
    if table not in tables:
        raise errors.no_entry("name")
    return tables[table]


def _named(name: str, wanted: str) -> bool:
    return wanted == "*" or name in wanted.split("|")
