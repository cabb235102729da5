# SPDX-License-Identifier: Apache-2.0
"""NetApp's library over plain directories, by HTTP and by HTTPS."""

from dataclasses import dataclass
from pathlib import Path
import socket

import pytest
import requests

from glance_ontap_store.tests.unit.ontapsim.library_contract import MIB
from glance_ontap_store.tests.unit.ontapsim.library_contract import LibraryContract
from glance_ontap_store.tests.unit.ontapsim.san_library_contract import (
    SanLibraryContract,
)
from lab.ontapsim.flexvol import DirectoryFlexVol
from lab.ontapsim.server import NewFlexVol
from lab.ontapsim.server import Settings
from lab.ontapsim.server import Simulator
from lab.ontapsim.state import User


@dataclass
class Served:
    """A simulator of this process, with what the contract asks for."""

    inner: Simulator
    passwords: dict[str, str]

    @property
    def url(self):
        return self.inner.url

    @property
    def port(self):
        return self.inner.port

    @property
    def ca_file(self):
        return str(self.inner.ca_file) if self.inner.ca_file else None

    @property
    def flexvols(self):
        return self.inner.flexvols


@pytest.fixture(params=["http", "https"])
def simulator(request, tmp_path):
    passwords = {"cinder": "secret-1", "viewer": "secret-2"}
    roles = {"cinder": "admin", "viewer": "readonly"}
    settings = Settings(
        root=tmp_path,
        users=tuple(User(name, passwords[name], roles[name]) for name in roles),
        flexvols=tuple(NewFlexVol(name, 512 * MIB) for name in ("fv1", "fv2")),
        tls=request.param == "https",
        request_log=tmp_path / "requests.jsonl",
        make_flexvol=DirectoryFlexVol,
    )
    with Simulator(settings) as inner:
        yield Served(inner, passwords)


class TestLibrary(LibraryContract):
    pass


@pytest.mark.parametrize("simulator", ["http"], indirect=True)
class TestSanLibrary(SanLibraryContract):
    pass


def ask(simulator, path="/api/cluster", **options):
    session = requests.Session()
    session.trust_env = False
    return session.get(
        simulator.url + path,
        auth=("cinder", "secret-1"),
        verify=simulator.ca_file or True,
        **options,
    )


def test_a_reset_reaches_the_client_as_a_lost_connection(simulator):
    simulator.inner.faults.add({"action": "reset", "count": 1})
    with pytest.raises(requests.ConnectionError):
        ask(simulator)
    assert ask(simulator).status_code == 200


def test_a_silent_client_does_not_block_others(simulator):
    with socket.create_connection(("127.0.0.1", simulator.port)):
        assert ask(simulator).status_code == 200


def test_the_log_file_has_a_request_before_its_answer_arrives(simulator, tmp_path):
    ask(simulator, "/api//cluster/?fields=version")
    lines = (tmp_path / "requests.jsonl").read_text().splitlines()
    assert len(lines) == 1
    assert '"/api//cluster/?fields=version"' in lines[0]
    assert "secret" not in lines[0]


def test_only_one_simulator_uses_a_directory(simulator, tmp_path):
    with pytest.raises(RuntimeError, match="another simulator"):
        with Simulator(simulator.inner.settings):
            pass


def test_the_ca_file_is_written_to_its_path(simulator, tmp_path):
    if simulator.ca_file is None:
        assert simulator.url.startswith("http://127.0.0.1:")
    else:
        assert Path(simulator.ca_file).read_text().startswith("-----BEGIN CERT")
