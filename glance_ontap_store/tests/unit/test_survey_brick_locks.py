# SPDX-License-Identifier: Apache-2.0
"""The locks of os-brick in the other services of a host."""

import pytest

from glance_ontap_store.survey import brick_locks
from glance_ontap_store.survey.answer import Unknown

CINDER, NOVA = "/usr/bin/cinder-volume", "/usr/bin/nova-compute"


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


class Host:
    def __init__(self, root):
        self.root = root
        self._count = 0

    def runs(self, *argv):
        self._count += 1
        path = self.root / "proc" / str(self._count) / "cmdline"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"".join(word.encode() + b"\0" for word in argv))

    def has(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    def lock_paths(self):
        return brick_locks.lock_paths(str(self.root))


BOTH = "[os_brick]\nlock_path = /b\n[oslo_concurrency]\nlock_path = /o\n"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (BOTH, "/b"),
        ("[oslo_concurrency]\nlock_path = /o\n", "/o"),
        ("[oslo_concurrency]\nlock_path = $state_path/t\n", "/var/lib/cinder/t"),
        (
            "[DEFAULT]\nstate_path = /s\n[os_brick]\nlock_path = $state_path/t\n",
            "/s/t",
        ),
        ("", None),
    ],
)
def test_os_bricks_own_path_counts_before_that_of_its_service(host, text, path):
    file = host.has("cinder.conf", text)
    host.runs("/usr/bin/python3", CINDER, "--config-file", file)
    assert host.lock_paths() == {f"cinder-volume ({file})": path}


@pytest.mark.parametrize(("service", "project"), [(CINDER, "cinder"), (NOVA, "nova")])
def test_a_service_without_arguments_has_its_usual_file(host, service, project):
    file = host.has(f"etc/{project}/{project}.conf", BOTH)
    host.runs(service)
    assert host.lock_paths() == {f"{service.rpartition('/')[2]} ({file})": "/b"}


def test_files_and_directories_are_read_as_the_service_does(host):
    first = host.has("a.conf", "[os_brick]\nlock_path = /a\n")
    host.has("d/b.conf", "[os_brick]\nlock_path = /d\n")
    directory = str(host.root / "d")
    host.runs(NOVA, f"--config-file={first}", f"--config-dir={directory}")
    assert host.lock_paths() == {f"nova-compute ({first}, {directory})": "/d"}


def test_processes_of_one_service_are_one(host):
    host.has("etc/cinder/cinder.conf", BOTH)
    host.runs(CINDER)
    host.runs("python3", CINDER)
    assert len(host.lock_paths()) == 1


def test_what_does_not_run_is_not_compared(host):
    host.has("etc/nova/nova.conf", BOTH)
    host.runs("/usr/bin/nova-api")
    host.runs("vi", "-R", "/usr/bin/nova-compute")
    host.runs()
    assert host.lock_paths() == {}


@pytest.mark.parametrize("text", [None, "nothing", "[os_brick]\nlock_path = $zone\n"])
def test_a_file_that_cannot_be_read_is_not_known(host, text):
    if text is not None:
        host.has("etc/nova/nova.conf", text)
    host.runs(NOVA)
    ((name, path),) = host.lock_paths().items()
    assert "etc/nova/nova.conf" in name
    assert isinstance(path, Unknown)
    assert path.text
