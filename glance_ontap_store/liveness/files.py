# SPDX-License-Identifier: Apache-2.0
"""Small files in ``.locks`` of the base directory. No symbolic link is followed."""

from collections.abc import Iterator
import contextlib
import errno
import os
import uuid

from glance_ontap_store import errors

LOCKS = ".locks"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o640


@contextlib.contextmanager
def using(base: str) -> Iterator[None]:
    """Raise an error of ours for an OSError with the files of *base*.

    :raises errors.Misconfigured: the operating system reported an error
    """
    try:
        yield
    except OSError as error:
        hint = "It must be a directory in which Glance's user may create files"
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EEXIST):
            hint = (
                "It and .locks must be directories, and .locks and the files in it"
                " must not be symbolic links. Remove what is in the way"
            )
        raise errors.Misconfigured(
            f"ontap_mount_point_base = {base!r} cannot be used: {error}."
            f" {hint}, or set another one."
        ) from error


@contextlib.contextmanager
def opened(base: str, *names: str) -> Iterator[int]:
    """The descriptor of the directory ``<base>/.locks/<names>``.

    :raises OSError: it does not exist, or is no directory
    """
    with contextlib.ExitStack() as stack:
        directory = os.open(os.path.join(base, LOCKS), _DIRECTORY)
        stack.callback(os.close, directory)
        for name in names:
            directory = os.open(name, _DIRECTORY, dir_fd=directory)
            stack.callback(os.close, directory)
        yield directory


def make(base: str, *names: str) -> None:
    """Make the directory ``<base>/.locks/<names>``, if it is not there.

    :raises OSError: it cannot be made
    """
    os.makedirs(os.path.join(base, LOCKS), mode=0o750, exist_ok=True)
    for depth, name in enumerate(names):
        with opened(base, *names[:depth]) as parent:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o750, dir_fd=parent)


def read(name: str, directory: int) -> str:
    """The text of a small file in *directory*.

    :raises OSError: it cannot be read
    """
    # Without O_NONBLOCK, opening a FIFO could wait for ever.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with open(os.open(name, flags, dir_fd=directory), encoding="utf-8") as file:
        return file.read(65536)


def names(directory: int) -> list[str]:
    """The names in *directory*, sorted."""
    return sorted(os.listdir(directory))


def written_at(name: str, directory: int) -> float:
    """When the file was written last, in seconds since the epoch."""
    return os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime


def put(name: str, directory: int, text: str, is_new: bool = False) -> None:
    """Replace a file of *directory* by *text*; it is on the disk afterwards.

    A reader sees the old text or the new one. *is_new*: the file must not exist.

    :raises FileExistsError: it exists, but must not
    :raises OSError: it cannot be made
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    draft = f".{uuid.uuid4()}"
    with contextlib.ExitStack() as stack:
        fd = os.open(draft, flags, _MODE, dir_fd=directory)
        stack.callback(remove, draft, directory)
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(fd)
        if is_new:
            os.link(draft, name, src_dir_fd=directory, dst_dir_fd=directory)
        else:
            os.rename(draft, name, src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)


def remove(name: str, directory: int) -> None:
    """Remove a file of *directory*, if it is there.

    :raises OSError: it cannot be removed
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
