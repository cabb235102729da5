# SPDX-License-Identifier: Apache-2.0
"""The lab's block protocols: back ends, names, and what its host sees."""

import configparser
from dataclasses import replace
import os
from pathlib import Path
import re
import subprocess
import sys
import types
from typing import Any

import pytest

from lab import cinder
from lab import cli
from lab import layout
from lab import san
from lab import san_devices
from lab import san_hook
from lab import supervisor
from lab import svms
from lab.ontapsim import san_records
from lab.ontapsim.san import Igroup
from lab.ontapsim.san import Map
from lab.ontapsim.san import San
from lab.ontapsim.san import Subsystem
from lab.ontapsim.san import Unit
from lab.ontapsim.state import Svm
from lab.san_devices import NotFound

NFS = {
    "volume_driver": "NetAppDriver",
    "volume_backend_name": "ontap",
    "netapp_storage_protocol": "nfs",
    "nfs_shares_config": "/shares",
    "nas_secure_file_operations": False,
}
IQN = san_records.target_iqn(Svm("svm1"))
NQN = san_records.target_nqn("svm1", "s")


def plan(tmp_path: Path, with_san: bool) -> layout.Layout:
    return layout.plan(
        tmp_path, tmp_path, broker=True, stores=san.STORES, with_san=with_san
    )


# Configuration


def test_each_store_has_a_user_with_a_password(tmp_path):
    lab = plan(tmp_path, with_san=True)
    users = {f"image-{store}" for store in san.STORES}
    assert users <= lab.users.keys() <= lab.passwords.keys()
    assert not users & plan(tmp_path, with_san=False).users.keys()


def test_each_protocol_has_a_back_end_without_options_of_nfs():
    found = san.backends(NFS)
    assert list(found) == ["ontap-iscsi", "ontap-fc", "ontap-nvme"]
    for name, options in found.items():
        assert options["volume_backend_name"] == name
        assert options["netapp_storage_protocol"] in san.PROTOCOLS
        assert not [each for each in options if each.startswith(("nfs_", "nas_"))]


def test_each_flexvol_is_a_pool_of_one_back_end():
    patterns = {
        name: str(options["netapp_pool_name_search_pattern"])
        for name, options in san.backends(NFS).items()
    }
    for flexvol in (*san.FLEXVOLS, "fv1"):
        owners = [n for n, text in patterns.items() if re.fullmatch(text, flexvol)]
        pools = {f"lab@{owner}#{flexvol}" for owner in owners}
        assert pools <= san.pools()
        assert len(owners) == (flexvol in san.FLEXVOLS)


def test_the_pools_come_beside_those_of_nfs():
    with_san = cinder.expected_pools(with_san=True)
    assert with_san - cinder.expected_pools() == san.pools()


def test_the_types_are_pinned_to_their_flexvols():
    found = san.volume_types()
    assert found["iscsi"] == {"volume_backend_name": "ontap-iscsi"}
    assert found["ontap-fc1"] == {
        "volume_backend_name": "ontap-fc",
        "pool_name": "fc1",
    }
    assert {f"ontap-{name}" for name in san.FLEXVOLS} <= found.keys()


@pytest.mark.parametrize(
    "wrong",
    [
        ["up", "--san"],
        ["up", "--broker", "--san", "--secure-nfs"],
        ["up", "--broker", "--stores", "iscsi1"],
        ["up", "--protocol", "iscsi"],
        ["up", "--broker", "--protocol", "iscsi", "--san"],
        ["up", "--broker", "--protocol", "iscsi", "--secure-nfs"],
        ["up", "--broker", "--protocol", "iscsi", "--svms", "2"],
        ["up", "--broker", "--protocol", "fibre"],
    ],
)
def test_flavours_that_do_not_go_together_are_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        cli.main(wrong)
    assert "error:" in capsys.readouterr().err


# The usual FlexVols with another protocol


@pytest.mark.parametrize("protocol", san.PROTOCOLS)
def test_the_usual_back_end_gets_another_protocol(tmp_path, protocol, monkeypatch):
    # What Cinder's package ships is not here.
    monkeypatch.setattr("lab.paste.with_request_log", lambda *_args: "")
    monkeypatch.setattr("lab.rootwrap.install", lambda *_args: None)
    lab = layout.plan(
        tmp_path, tmp_path, broker=True, stores=layout.STORES, protocol=protocol
    )
    lab.make_directories()
    cinder.write_config(lab)
    text = (lab.configs / "cinder" / "cinder.conf").read_text()
    conf = configparser.ConfigParser(interpolation=None)
    conf.read_string(text)
    assert conf["DEFAULT"]["enabled_backends"] == "ontap"
    assert conf["ontap"]["netapp_storage_protocol"] == protocol
    assert conf["ontap"]["netapp_lun_space_reservation"] == "disabled"
    assert not [name for name in conf["ontap"] if name.startswith(("nfs_", "nas_"))]
    assert lab.has_devices
    # Users, and so stores, are those of a lab with NFS.
    assert lab.users == plan(tmp_path, with_san=False).users


def test_its_pools_are_flexvols_and_not_exports():
    usual = svms.FIRST.by("iscsi")
    assert usual.pool("/fv1") == "fv1"
    assert svms.FIRST.pool("/fv1") == "127.0.0.1:/fv1"
    assert cinder.expected_pools((usual,)) == {f"lab@ontap#fv{n}" for n in (1, 2, 3)}


def test_processes_in_a_lab_have_the_connectors_of_its_services(tmp_path):
    lab = plan(tmp_path, with_san=True)
    theirs, ours = (
        make(lab)
        for make in (supervisor.service_environment, supervisor.command_environment)
    )
    for name in ("PYTHONPATH", san.SOCKET_VARIABLE):
        assert ours[name] == theirs[name]


# os-brick


def test_our_connector_takes_the_place_of_three():
    names = types.SimpleNamespace(
        ISCSI="ISCSI", FIBRE_CHANNEL="FIBRE_CHANNEL", NVME="NVME", NVMEOF="NVMEOF"
    )
    mapping = {"NFS": "RemoteFs", "ISCSI": "Iscsi"}
    module: Any = types.SimpleNamespace(
        initiator=names, _connector_mapping_linux=mapping, unix_connector_list=["Base"]
    )
    san_hook.replace(module)
    ours = {name for name, value in mapping.items() if value.startswith("lab.")}
    assert ours == {"ISCSI", "FIBRE_CHANNEL", "NVME", "NVMEOF"}
    assert module.unix_connector_list[-1] == mapping["ISCSI"]


def test_a_process_of_the_lab_has_our_connector(tmp_path):
    san.install(tmp_path)
    code = """\
from os_brick.initiator import connector
made = connector.InitiatorConnector.factory("iSCSI", "sudo")
print(type(made).__module__)
print(made.get_connector_properties("sudo")["nqn"])
"""
    path = os.pathsep.join([str(tmp_path), str(layout.CHECKOUT)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["lab.san_connector", san.NQN]


# What the host sees


@pytest.fixture
def state():
    """A LUN mapped by iSCSI and FC, and a namespace, all for the lab's host."""
    found = San()
    for kind in ("lun", "namespace"):
        path = f"/vol/fv1/{kind}"
        unit = Unit(kind, kind, path, "svm1", 1 << 30, "linux", path)
        found.units[kind] = unit
    for name, initiators in (("i", (san.INITIATOR,)), ("f", san.WWPNS)):
        found.igroups[name] = Igroup(
            name, name, "svm1", "linux", initiators=tuple(initiators)
        )
    found.subsystems["s"] = Subsystem("s", "s", "svm1", "linux", hosts=(san.NQN,))
    found.lun_maps += [Map("lun", "i", 3), Map("lun", "f", 5)]
    found.namespace_maps.append(Map("namespace", "s", 1))
    return found


ISCSI = {"target_iqn": IQN, "target_lun": 3}
FC = {"target_wwn": ["20"], "target_lun": "5", "initiator_target_map": {}}
NVME = {"target_nqn": NQN, "vol_uuid": "namespace"}


@pytest.mark.parametrize(
    ("properties", "uuid"), [(ISCSI, "lun"), (FC, "lun"), (NVME, "namespace")]
)
def test_the_host_sees_what_is_mapped_to_it(state, properties, uuid):
    assert san_devices.visible(state, properties).uuid == uuid


@pytest.mark.parametrize(
    "properties",
    [
        {**ISCSI, "target_lun": 5},
        {**ISCSI, "target_iqn": san_records.target_iqn(Svm("svm2"))},
        {**FC, "target_lun": 3},
        {**NVME, "vol_uuid": "lun"},
        {**NVME, "target_nqn": san_records.target_nqn("svm1", "t")},
    ],
)
def test_the_host_sees_nothing_elsewhere(state, properties):
    with pytest.raises(NotFound):
        san_devices.visible(state, properties)


@pytest.mark.parametrize("properties", [ISCSI, FC, NVME])
def test_the_host_does_not_see_what_is_for_others(state, properties):
    for name, group in state.igroups.items():
        state.igroups[name] = replace(group, initiators=("iqn.2000-01.org.other:x",))
    state.subsystems["s"] = replace(state.subsystems["s"], hosts=())
    with pytest.raises(NotFound):
        san_devices.visible(state, properties)


@pytest.mark.parametrize("properties", [ISCSI, FC, NVME])
def test_the_host_does_not_see_what_is_offline(state, properties):
    for name, unit in state.units.items():
        state.units[name] = replace(unit, enabled=False)
    with pytest.raises(NotFound):
        san_devices.visible(state, properties)


def test_a_wwn_is_netapps_and_has_the_serial_number():
    unit = Unit("u", "lun", "/vol/f/l", "s", 1, "linux", "/vol/f/l", serial="aB3")
    assert san_devices.wwn_of(unit) == "3600a0980614233"
