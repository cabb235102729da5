# SPDX-License-Identifier: Apache-2.0
"""The survey of this host."""

import pwd

from glance_ontap_store.survey import host
from glance_ontap_store.survey.facts import GlanceConfig


def test_a_user_id_without_a_name_can_be_surveyed(monkeypatch):
    """Containers may run the command as a number that /etc/passwd does not have."""

    def missing(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", missing)
    found = host.look(GlanceConfig(files=(), directories=(), stores=()))
    assert set(found.programs) == set(host.PROGRAMS)


def test_the_names_of_a_host_are_found_without_reading_them(tmp_path):
    assert host.block_names(str(tmp_path)) == frozenset()
    ports = tmp_path / "sys/class/fc_host"
    ports.mkdir(parents=True)
    for name in ("etc/iscsi/initiatorname.iscsi", "etc/nvme/hostnqn"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.touch(mode=0)
    assert host.block_names(str(tmp_path)) == {"iscsi", "nvme"}
    (ports / "host0").touch()
    assert host.block_names(str(tmp_path)) == {"iscsi", "fc", "nvme"}
