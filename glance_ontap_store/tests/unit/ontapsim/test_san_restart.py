# SPDX-License-Identifier: Apache-2.0
"""What of SAN is kept when the simulator ends, however it ends."""

from contextlib import contextmanager
import json
import stat

import pytest

from glance_ontap_store.tests.unit.ontapsim.conftest import GIB
from glance_ontap_store.tests.unit.ontapsim.conftest import USERS
from glance_ontap_store.tests.unit.ontapsim.conftest import Api
from glance_ontap_store.tests.unit.ontapsim.test_igroups import IGROUPS
from glance_ontap_store.tests.unit.ontapsim.test_igroups import IQN
from glance_ontap_store.tests.unit.ontapsim.test_igroups import MAPS
from glance_ontap_store.tests.unit.ontapsim.test_igroups import group
from glance_ontap_store.tests.unit.ontapsim.test_igroups import map_lun
from glance_ontap_store.tests.unit.ontapsim.test_luns import LUNS
from glance_ontap_store.tests.unit.ontapsim.test_luns import MIB
from glance_ontap_store.tests.unit.ontapsim.test_luns import NAMESPACES
from glance_ontap_store.tests.unit.ontapsim.test_luns import copy
from glance_ontap_store.tests.unit.ontapsim.test_luns import fill
from glance_ontap_store.tests.unit.ontapsim.test_luns import make
from glance_ontap_store.tests.unit.ontapsim.test_luns import progress_of
from glance_ontap_store.tests.unit.ontapsim.test_luns import show
from glance_ontap_store.tests.unit.ontapsim.test_nvme import MAPS as NAMESPACE_MAPS
from glance_ontap_store.tests.unit.ontapsim.test_nvme import SUBSYSTEMS
from glance_ontap_store.tests.unit.ontapsim.test_nvme import map_namespace
from glance_ontap_store.tests.unit.ontapsim.test_nvme import subsystem
from glance_ontap_store.tests.unit.ontapsim.test_targets import CREDENTIALS
from glance_ontap_store.tests.unit.ontapsim.test_targets import credential
from lab.ontapsim.flexvol import DirectoryFlexVol
from lab.ontapsim.state import Array
from lab.ontapsim.state import Svm


@pytest.fixture
def started(tmp_path):
    """Return a function that starts an array over the same files, as a context."""

    def make_flexvol(svm, name, size_bytes):
        return DirectoryFlexVol(tmp_path / "flexvols" / svm, name, size_bytes)

    @contextmanager
    def start():
        svms, file = (Svm("svm1"), Svm("svm2", "127.0.0.2")), tmp_path / "san.json"
        with Array(svms, USERS, make_flexvol, san_file=file) as array:
            for name in ("fv1", "fv2"):
                array.add_volume("svm1", name, GIB)
            yield Api(array)

    return start


def all_of(api):
    """Return each record of SAN that clients can make."""
    paths = (LUNS, NAMESPACES, IGROUPS, MAPS, SUBSYSTEMS, NAMESPACE_MAPS, CREDENTIALS)
    return {path: api.get(f"{path}?fields=*")["records"] for path in paths}


def test_everything_is_there_after_a_restart(started, tmp_path):
    with started() as api:
        make(api, comment="mine")
        group(api, initiators=[IQN])
        map_lun(api, "/vol/fv1/a")
        make(api, "/vol/fv2/n", NAMESPACES)
        subsystem(api)
        map_namespace(api, "/vol/fv2/n")
        credential(api)
        copy(api, "/vol/fv1/a", "/vol/fv2/b")
        before = all_of(api)
    with started() as api:
        assert all_of(api) == before
        assert all(before.values())
        assert len(before[LUNS]) == 2
    mode = (tmp_path / "san.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_lun_whose_file_is_gone_is_forgotten_with_its_maps(started):
    with started() as api:
        make(api)
        group(api)
        map_lun(api, "/vol/fv1/a")
        (api.directory("fv1") / "a").unlink()
    with started() as api:
        assert api.get(LUNS)["num_records"] == 0
        assert api.get(MAPS)["num_records"] == 0


@pytest.fixture
def killed(started, tmp_path):
    """Return a function that starts as from the files of a simulator that was killed.

    It takes what happened before; what the array does when it ends is undone.
    """

    @contextmanager
    def start(before):
        with started() as api:
            before(api)
            text = (tmp_path / "san.json").read_text()
            part = (api.directory("fv2") / "b").read_bytes()
        (tmp_path / "san.json").write_text(text)
        (tmp_path / "flexvols" / "svm1" / "fv2" / "b").write_bytes(part)
        with started() as api:
            yield api

    return start


def begun(api, method, path, body):
    """Begin a copy or a move that never ends, with a part of it in its file."""
    fault = {"action": "job_stuck", "method": method, "after_bytes": MIB}
    api.faults.add(fault)
    answer = api(method, path, body)
    assert answer.status_code in (200, 201)
    while progress_of(api, "/vol/fv2/b")["percent_complete"] == 0:
        pass  # each look is a request


def test_a_move_that_was_killed_leaves_the_lun_at_its_old_place(killed):
    data = []

    def before(api):
        lun = make(api, space={"size": 2 * MIB})
        data.append(fill(api.directory("fv1") / "a", MIB))
        path = f"{LUNS}/{lun['uuid']}"
        begun(api, "PATCH", path, {"name": "/vol/fv2/b"})

    with killed(before) as api:
        [lun] = api.get(f"{LUNS}?fields=*")["records"]
        assert lun["name"] == "/vol/fv1/a"
        assert lun["movement"]["progress"]["state"] == "failed"
        with (api.directory("fv1") / "a").open("rb") as file:
            assert file.read(MIB) == data[0]
        assert not list(api.directory("fv2").iterdir())


def test_a_copy_that_was_killed_leaves_only_its_source(killed):
    def before(api):
        make(api, space={"size": 2 * MIB})
        fill(api.directory("fv1") / "a", MIB)
        body = {"name": "/vol/fv2/b", "copy.source.name": "/vol/fv1/a"}
        begun(api, "POST", LUNS, body | {"svm.name": "svm1"})

    with killed(before) as api:
        [lun] = api.get(LUNS)["records"]
        assert lun["name"] == "/vol/fv1/a"
        assert not list(api.directory("fv2").iterdir())


def test_a_part_of_the_file_is_never_read(started, tmp_path):
    """It is replaced as a whole, so that a kill leaves the old or the new one."""
    with started() as api:
        lun = make(api)
        inode = (tmp_path / "san.json").stat().st_ino
        api("PATCH", f"{LUNS}/{lun['uuid']}", {"comment": "x"})
        assert (tmp_path / "san.json").stat().st_ino != inode
        assert show(api, lun)["comment"] == "x"
        whole = json.loads((tmp_path / "san.json").read_text())
        assert whole["units"][0]["comment"] == "x"
