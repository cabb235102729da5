# SPDX-License-Identifier: Apache-2.0
"""The lab's ordinary users, and their way to the programs."""

import os
from pathlib import Path
import subprocess
import sys
import tempfile

import pytest

from lab import secure_nfs
from lab.secure_nfs import CINDER
from lab.secure_nfs import GLANCE
from lab.services import Service


def service(name: str) -> Service:
    environment = {"PATH": "/lab/bin:/usr/bin", "TMPDIR": "/tmp"}
    return Service(name, ["run", name], environment, Path("/log"), lambda _: True)


@pytest.mark.parametrize(
    ("name", "user"),
    [
        ("cinder", CINDER),
        ("cinder-volume", CINDER),
        ("glance", GLANCE),
        ("keystone", None),
        ("rabbitmq", None),
        ("ontap", None),
    ],
)
def test_glance_and_cinder_have_users_of_their_own(name, user):
    assert secure_nfs.user_of(name) is user


def test_a_service_runs_as_its_user_without_the_labs_sudo():
    glance = service("glance")
    secure_nfs.run_as_users([glance], Path("/lab/bin"))
    assert glance.argv[0] == "setpriv"
    assert f"--reuid={GLANCE.number}" in glance.argv
    assert glance.argv[-2:] == ["run", "glance"]
    assert glance.environment == {"PATH": "/usr/bin", "TMPDIR": "/tmp"}


def test_other_services_stay_as_they_are():
    keystone = service("keystone")
    secure_nfs.run_as_users([keystone], Path("/lab/bin"))
    assert keystone.argv == service("keystone").argv
    assert keystone.environment == service("keystone").environment


# Runs as root in a mount namespace: makes the trees reachable, then reads as another
# user what it could not read before.
_REACH = """
import subprocess, sys
from pathlib import Path
from lab import secure_nfs

root, work = map(Path, sys.argv[1:])
trees = [root / "closed" / "checkout", root / "closed" / "checkout" / "venv" / "x"]

def read(path):
    user = ["setpriv", "--reuid=64062", "--regid=64062", "--clear-groups"]
    return subprocess.run([*user, "cat", path], capture_output=True).returncode == 0

assert not read(trees[0] / "file")
secure_nfs.make_reachable(trees, work)
assert read(trees[0] / "file")
assert read(trees[1] / "file")
assert not (root / "closed" / "secret").exists()
assert not work.exists()
"""


def test_programs_in_a_closed_directory_are_reached_and_nothing_else(tmp_path):
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() or subprocess.run([*unshare, "true"]).returncode:
        pytest.skip("only root can mount, in a mount namespace of its own")
    tree = tmp_path / "closed" / "checkout"
    inner = tree / "venv" / "x"
    inner.mkdir(parents=True)
    for path in (tree / "file", inner / "file", tmp_path / "closed" / "secret"):
        path.touch()
    (tmp_path / "closed").chmod(0o700)
    (tree / "venv").chmod(0o700)
    # pytest's own directories are closed too.
    with tempfile.TemporaryDirectory() as outside:
        work = os.path.join(outside, "work")
        done = subprocess.run(
            [*unshare, sys.executable, "-c", _REACH, str(tmp_path), work],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "closed" / "secret").exists()
