# SPDX-License-Identifier: Apache-2.0
"""Files opened with the rights of their owners, by the real kernel."""

import os

import pytest

from glance_ontap_store import errors
from glance_ontap_store.attach import ownership

CINDER = 64061
OTHER = 64062


def filesystem_user():
    """Return the user as which this thread opens files (proc_pid_status(5))."""
    with open("/proc/thread-self/status") as status:
        (line,) = (line for line in status if line.startswith("Uid:"))
    return int(line.split()[4])


@pytest.fixture
def place(tmp_path):
    """The directory of an export, which belongs to Cinder's user."""
    if os.geteuid():
        pytest.skip("only root can act as another user")
    found = tmp_path / "export"
    found.mkdir(0o700)
    os.chown(found, CINDER, CINDER)
    return found


@pytest.fixture
def directory(place):
    fd = os.open(place, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def make(place, mode, user=CINDER):
    path = place / "volume-7"
    path.write_bytes(b"content")
    os.chown(path, user, user)
    path.chmod(mode)
    return path


def test_a_file_of_its_owner_alone_is_read_and_written(place, directory):
    path = make(place, 0o600)
    before = path.stat()
    fd = ownership.open_file(directory, "volume-7", os.O_RDWR)
    try:
        assert os.pread(fd, 100, 0) == b"content"
        os.pwrite(fd, b"CON", 0)
        os.ftruncate(fd, 5)
    finally:
        os.close(fd)
    assert path.read_bytes() == b"CONte"
    after = path.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (
        before.st_uid,
        before.st_gid,
        before.st_mode,
    )


def test_a_file_opened_for_reading_cannot_be_written(place, directory):
    make(place, 0o600)
    fd = ownership.open_file(directory, "volume-7", os.O_RDONLY)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(fd, b"x")
    os.close(fd)


@pytest.mark.parametrize(
    ("mode", "flags"), [(0o000, os.O_RDONLY), (0o466, os.O_RDWR), (0o066, os.O_RDWR)]
)
def test_root_has_no_more_rights_than_the_owner(place, directory, mode, flags):
    make(place, mode)
    with pytest.raises(PermissionError):
        ownership.open_file(directory, "volume-7", flags)


def test_the_directory_may_belong_to_another_user(place, directory):
    make(place, 0o600, OTHER)
    os.close(ownership.open_file(directory, "volume-7", os.O_RDWR))


def test_a_file_of_root_is_refused(place, directory):
    make(place, 0o666, 0)
    with pytest.raises(errors.WriteDenied, match="nas_secure_file_operations"):
        ownership.open_file(directory, "volume-7", os.O_RDONLY)


@pytest.mark.parametrize(
    "occupy",
    [os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/passwd", path)],
    ids=["fifo", "directory", "link"],
)
def test_nothing_but_a_regular_file_is_opened(place, directory, occupy):
    occupy(place / "volume-7")
    with pytest.raises(errors.Broken, match="not a regular file"):
        ownership.open_file(directory, "volume-7", os.O_RDONLY)


def test_a_missing_file_is_not_created(place, directory):
    with pytest.raises(FileNotFoundError):
        ownership.open_file(directory, "volume-7", os.O_RDWR)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("mode", [0o600, 0o000])
def test_the_calling_thread_keeps_its_rights(place, directory, mode):
    make(place, mode)
    before = len(os.listdir("/proc/self/fd"))
    try:
        os.close(ownership.open_file(directory, "volume-7", os.O_RDWR))
    except PermissionError:
        assert mode == 0
    assert filesystem_user() == 0
    assert (place / "volume-7").read_bytes() == b"content"
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_the_capability_nothing_is_opened(place, directory):
    """A user namespace, or a changed list of capabilities, may lack it."""
    make(place, 0o666)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            ownership.capabilities.drop_all_caps_except([], [], [])
            ownership.open_file(directory, "volume-7", os.O_RDONLY)
        except PermissionError as error:
            code = 0 if "cannot act as user" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
