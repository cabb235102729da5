# SPDX-License-Identifier: Apache-2.0
"""The lab with block protocols (``--san``): iSCSI, FC and NVMe/TCP beside NFS.

Cinder has one more back end for each, with NetApp's unmodified driver, on FlexVols of
its own. On the host's side os-brick's connectors for these protocols are replaced: a
volume is a loop device on the LUN's file, see ``san_devices.py``. So no host needs a
kernel with iSCSI, and there is no network, no multipath and no SCSI in between.

==================  ===========================================================
volume type         what Cinder chooses
==================  ===========================================================
``iscsi``, ...      a FlexVol of that back end
``ontap-iscsi1``    this FlexVol; ``ontap-iscsi2``, ``-fc1``, ``-nvme1`` likewise
==================  ===========================================================

Each FlexVol has a store of its name in Glance; ``peer-iscsi`` is upstream's cinder
store on ``iscsi1``.

With ``--protocol iscsi`` (or ``fc``, ``nvme``) there is no such back end beside NFS,
but the lab's usual one has that protocol: ``fv1``, ``fv2`` and ``fv3`` hold LUNs or
namespaces, and all stores and volume types have their usual names.
"""

from collections.abc import Mapping
from pathlib import Path

from lab.ini import Value

PROTOCOLS = ("iscsi", "fc", "nvme")
FLEXVOLS = {
    "iscsi1": "16GiB",
    "iscsi2": "8GiB",
    "fc1": "8GiB",
    "nvme1": "8GiB",
}
PEER = "peer-iscsi"
STORES = (*FLEXVOLS, PEER)
# Of the lab's services: the socket of san_devices.py.
SOCKET_VARIABLE = "LAB_SAN_SOCKET"

# What the lab's host is called.
INITIATOR = "iqn.1994-05.org.openstack:lab"
WWPNS = ("21:00:00:00:00:00:00:01", "21:00:00:00:00:00:00:02")
NQN = "nqn.2014-08.org.nvmexpress:uuid:00000000-0000-4000-8000-00000000aaaa"
HOST_NAMES: Mapping[str, object] = {
    "initiator": INITIATOR,
    "wwpns": [wwpn.replace(":", "") for wwpn in WWPNS],
    "wwnns": [wwpn.replace(":", "") for wwpn in WWPNS],
    "nqn": NQN,
    "system uuid": NQN.rpartition(":")[2],
}

_SITECUSTOMIZE = """\
# Python runs this in each process of the lab's services.
from lab import san_hook

san_hook.install()
"""


def backend_of(protocol: str) -> str:
    """Return the name of Cinder's back end."""
    return f"ontap-{protocol}"


def _protocol_of(flexvol: str) -> str:
    return flexvol.rstrip("0123456789")


def backends(nfs: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
    """Return the sections of cinder.conf, made of that of the NFS back end."""
    return {
        backend_of(protocol): {
            **backend(nfs, protocol),
            "volume_backend_name": backend_of(protocol),
            "netapp_pool_name_search_pattern": rf"({protocol}\d+)",
        }
        for protocol in PROTOCOLS
    }


def backend(nfs: Mapping[str, Value], protocol: str) -> dict[str, Value]:
    """Return the section of the NFS back end, changed to another protocol."""
    shared = {
        name: value
        for name, value in nfs.items()
        if not name.startswith(("nfs_", "nas_"))
    }
    return {
        **shared,
        "netapp_storage_protocol": protocol,
        # Else each clone takes its whole size of the FlexVol.
        "netapp_lun_space_reservation": "disabled",
    }


def pools() -> set[str]:
    """Return the name of each FlexVol's pool: without an export, unlike with NFS."""
    return {
        f"lab@{backend_of(_protocol_of(flexvol))}#{flexvol}" for flexvol in FLEXVOLS
    }


def volume_types() -> dict[str, dict[str, str]]:
    """Return the extra specs of each volume type."""
    types = {
        protocol: {"volume_backend_name": backend_of(protocol)}
        for protocol in PROTOCOLS
    }
    for flexvol in FLEXVOLS:
        specs = types[_protocol_of(flexvol)]
        types[f"ontap-{flexvol}"] = {**specs, "pool_name": flexvol}
    return types


def install(plugins: Path) -> None:
    """Have os-brick's connectors replaced in each process with this PYTHONPATH."""
    plugins.mkdir(parents=True, exist_ok=True)
    (plugins / "sitecustomize.py").write_text(_SITECUSTOMIZE, encoding="utf-8")
