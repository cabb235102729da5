# SPDX-License-Identifier: Apache-2.0
"""Hand an open file from the helper that runs as root to the process that asked.

The channel of oslo.privsep carries values, and a descriptor is none. So the asking
process listens on a Unix socket with a random name, and tells the helper the name. The
name is abstract (unix(7)): no file stands for it, and nothing is left when either
process dies. Each side asks the kernel for the user at the other end, since any
process of the host can connect to such a socket, or take its name over when it is
free.
"""

import array
from collections.abc import Iterator
import contextlib
import os
import secrets
import socket
import struct

from glance_ontap_store import errors

# The user of the helper that mounts.
_ROOT = 0
# struct ucred of unix(7): process, user, group.
_CREDENTIALS = struct.Struct("iII")
# Room for the helper behind processes that connect without being asked.
_BACKLOG = 16


class Inbox:
    """A place for one descriptor. Its *address* is a name without the leading NUL."""

    def __init__(self, listener: socket.socket, address: str) -> None:
        self._listener = listener
        self.address = address

    def take(self, sender: int = _ROOT) -> int:
        """Return the descriptor that a process of user *sender* has sent already.

        It never waits. Connections of other users are dropped; no more of them than
        the backlog holds can be ahead.

        :raises errors.Broken: that user sent nothing, or not exactly one descriptor
        """
        while True:
            try:
                connection, _address = self._listener.accept()
            except BlockingIOError as error:
                raise errors.Broken(
                    "The helper that runs as root opened the file, but its descriptor"
                    " did not arrive. Does the helper run in another network namespace?"
                ) from error
            with connection:
                if _peer(connection) == sender:
                    connection.setblocking(False)
                    return _only_descriptor(connection)


@contextlib.contextmanager
def inbox() -> Iterator[Inbox]:
    """Yield a new inbox, which ends with the block."""
    address = f"glance-ontap-{secrets.token_hex(16)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.setblocking(False)
        listener.bind(f"\0{address}")
        listener.listen(_BACKLOG)
        yield Inbox(listener, address)


def send(descriptor: int, address: str, receiver: int) -> None:
    """Send a copy of *descriptor* to the inbox at *address* of user *receiver*.

    :raises errors.Broken: no process, or one of another user, listens there
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        try:
            connection.connect(f"\0{address}")
            user = _peer(connection)
            if user == receiver:
                socket.send_fds(connection, [b"\0"], [descriptor])
        except OSError as error:
            raise errors.Broken(
                f"The open file cannot be handed over: {error}"
            ) from error
    if user != receiver:
        raise errors.Broken(
            f"The open file was not handed over: user {user} listens in place of user"
            f" {receiver}."
        )


def _peer(connection: socket.socket) -> int:
    """Return the user id of the process at the other end."""
    found = connection.getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
    )
    _process, user, _group = _CREDENTIALS.unpack(found)
    return int(user)


def _only_descriptor(connection: socket.socket) -> int:
    received = array.array("i")
    flags = 0
    with contextlib.suppress(BlockingIOError):
        # socket.recv_fds would ignore the flag, and a program that another thread
        # starts would inherit the file.
        _data, control, flags, _address = connection.recvmsg(
            1, socket.CMSG_LEN(2 * received.itemsize), socket.MSG_CMSG_CLOEXEC
        )
        for level, kind, content in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                received.frombytes(content)
    if len(received) == 1 and not flags & socket.MSG_CTRUNC:
        return received[0]
    for descriptor in received:
        os.close(descriptor)
    raise errors.Broken(
        f"The helper that runs as root sent {len(received)} descriptors and not one."
    )
