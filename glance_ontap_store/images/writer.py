# SPDX-License-Identifier: Apache-2.0
"""The marks by which recovery tells a dead writer from a slow one."""

import datetime
import functools
import os
import socket
import uuid

from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.liveness.marks import Mark


def new_record(state: State, store_id: str | None, mark: Mark) -> Record:
    """The record of a volume that this process, of that *mark*, begins to make."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return Record(
        store=store_id,
        state=state,
        writer=socket.gethostname(),
        process=this_process(),
        started=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        write_id=str(uuid.uuid4()),
        lock=str(mark),
    )


def this_process() -> str:
    """Return a name for this process that is unique on this host.

    ``<boot id>:<PID namespace>:<process id>:<start>``. *start* is in clock ticks
    since the boot (proc(5), ``/proc/pid/stat``, field 22): a process id is used
    again, together with its start it is not. Containers of one host share the boot
    id and may have PID namespaces of their own, in which the same id is another
    process. A part that the system does not tell is ``-``.
    """
    # After a fork the process is another one.
    return _process(os.getpid())


@functools.lru_cache(maxsize=1)
def _process(pid: int) -> str:
    return ":".join([_boot_id(), _pid_namespace(), str(pid), _start_of(pid)])


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return "-"


def _pid_namespace() -> str:
    try:
        # "pid:[4026531836]"
        return os.readlink("/proc/self/ns/pid").partition("[")[2].rstrip("]") or "-"
    except OSError:
        return "-"


def _start_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The name in parentheses may have blanks and parentheses itself.
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "-"
