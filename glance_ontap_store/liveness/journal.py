# SPDX-License-Identifier: Apache-2.0
"""What a process holds in Cinder, in files that outlive it.

A request that acquires something is written down before it is sent, completed with
the id after the answer, and removed after the release. If the process dies, or a
release fails, the entry tells recovery what to look for. Each entry is a small file
of JSON in the directory of its process.
"""

from collections.abc import Callable
import contextlib
import dataclasses
import json
import threading
from typing import Any
import uuid

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store.liveness import files
from glance_ontap_store.liveness.marks import Mark
from glance_ontap_store.liveness.processes import Processes

LOG = logging.getLogger(__name__)

_SUFFIX = ".json"


@dataclasses.dataclass(frozen=True)
class Attaching:
    """An attachment; *attachment_id* is None until Cinder has told it.

    *protocol* is set while the host may be connected to the volume by a block
    protocol, in Cinder's word for it. *device* is the identity of the device, its WWN
    for instance, as far as it is known.
    """

    store: str | None
    volume_id: str
    attachment_id: str | None = None
    protocol: str | None = None
    device: str | None = None


@dataclasses.dataclass(frozen=True)
class Creating:
    """A volume; *volume_id* is None until Cinder has told it.

    It is found by *name* and by *write_id*, which its metadata has.
    """

    store: str | None
    name: str
    write_id: str
    volume_id: str | None = None


Thing = Attaching | Creating
_KINDS = {kind.__name__: kind for kind in (Attaching, Creating)}


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file of a journal: what the process *token* acquired, or tried to.

    *written_at* is when it was written last, in seconds since the epoch.
    """

    token: str
    name: str
    thing: Thing
    written_at: float


class Handle:
    """The entry of something that this process acquires, from before to after.

    `done` and `leave` end it; more calls change nothing.
    """

    def __init__(self, journal: "Journal", token: str, name: str, thing: Thing) -> None:
        self._journal = journal
        self._token = token
        self._name = name
        self._thing = thing

    def complete(self, thing_id: str) -> None:
        """Add the id that Cinder has told.

        With a second id the first one is left for recovery: it was taken back, or
        could not be. A failure is logged only: what is acquired can be released all
        the same, and after a crash Cinder tells the id.
        """
        if self._has_id():
            self.leave()
            self._name = _new_name()
        if isinstance(self._thing, Creating):
            self._thing = dataclasses.replace(self._thing, volume_id=thing_id)
        else:
            self._thing = dataclasses.replace(self._thing, attachment_id=thing_id)
        try:
            self._journal.write(self._token, self._name, self._thing)
        except errors.StoreError as error:
            LOG.warning("%s is not written down: %s", self._thing, error)

    def connect(self, protocol: str | None, device: str | None = None) -> None:
        """Write down by which protocol the host connects to an attached volume.

        With a *device* it has connected, and with neither it is disconnected.

        :raises errors.Misconfigured: it cannot be written
        """
        thing = self._thing
        if not isinstance(thing, Attaching):
            raise TypeError(f"{thing} connects no host")
        self._thing = dataclasses.replace(thing, protocol=protocol, device=device)
        self._journal.write(self._token, self._name, self._thing)

    def _has_id(self) -> bool:
        if isinstance(self._thing, Creating):
            return self._thing.volume_id is not None
        return self._thing.attachment_id is not None

    def done(self) -> None:
        """It is released, or was never acquired."""
        self._journal.remove(self._token, self._name)

    def leave(self) -> None:
        """It could not be released: recovery does it later."""
        self._journal.leave(self._token, self._name)


class Journal:
    """The journals of the processes of one base, for one store.

    This process writes its own. *store_id* is the store's, None for a store without.
    """

    def __init__(self, processes: Processes, store_id: str | None) -> None:
        self.processes = processes
        self.store_id = store_id
        # The names of the entries of this process that recovery is to release.
        self._left: set[tuple[str, str]] = set()
        # Called when something is left; recovery puts its own in.
        self.on_left: Callable[[], object] = lambda: None
        # Guards `_left`; reach: this process.
        self._lock = threading.Lock()

    def own(self) -> Mark:
        """The mark of this process; see `Processes.own`."""
        return self.processes.own()

    def attaching(self, volume_id: str) -> Handle:
        """Write down that an attachment of the volume is about to be reserved.

        :raises errors.Misconfigured: the base cannot be used, so nothing may be sent
        """
        return self._begun(Attaching(self.store_id, volume_id))

    def creating(self, name: str, write_id: str) -> Handle:
        """Write down that a volume is about to be created.

        :raises errors.Misconfigured: the base cannot be used, so nothing may be sent
        """
        return self._begun(Creating(self.store_id, name, write_id))

    def _begun(self, thing: Thing) -> Handle:
        token = self.own().token
        name = _new_name()
        self.write(token, name, thing)
        return Handle(self, token, name, thing)

    def write(self, token: str, name: str, thing: Thing) -> None:
        """Write or replace an entry.

        :raises errors.Misconfigured: it cannot be written
        """
        values = {
            key: value
            for key, value in dataclasses.asdict(thing).items()
            # Releases before block protocols do not know these.
            if value is not None or key not in ("protocol", "device")
        }
        text = json.dumps({"kind": type(thing).__name__, **values}, indent=1)
        with (
            files.using(self.processes.base),
            self.processes.opened(token) as directory,
        ):
            files.put(name, directory, text)

    def remove(self, token: str, name: str) -> None:
        """Remove an entry, if it is there. A failure is logged only."""
        with self._lock:
            self._left.discard((token, name))
        try:
            with self.processes.opened(token) as directory:
                files.remove(name, directory)
        except FileNotFoundError:
            pass
        except OSError as error:
            LOG.warning("Entry %s of journal %s stays: %s", name, token, error)

    def leave(self, token: str, name: str) -> None:
        """Let recovery release what the entry of this process names."""
        with self._lock:
            self._left.add((token, name))
        self.on_left()

    def is_left(self, entry: Entry) -> bool:
        """Return whether this process could not release it."""
        with self._lock:
            return (entry.token, entry.name) in self._left

    def left(self) -> list[Entry]:
        """What this process could not release, as far as it is written down.

        :raises errors.Misconfigured: the base cannot be used
        """
        with self._lock:
            if not self._left:
                return []
        token = self.own().token
        with self._lock:
            # After a fork, the others are the parent's.
            self._left = {key for key in self._left if key[0] == token}
            left = sorted(self._left)
        return [entry for key in left if (entry := self._entry(*key)) is not None]

    def of(self, token: str) -> list[Entry]:
        """The entries of this store in the journal of the process *token*.

        :raises errors.Misconfigured: the base cannot be used
        """
        return [
            entry for entry in self.all_of(token) if entry.thing.store == self.store_id
        ]

    def attachings(self) -> list[Entry]:
        """The attachments in the journals of all processes of the base.

        Journals that this user may not read, of a command that root ran for instance,
        are left out.

        :raises errors.Misconfigured: the base cannot be used
        """
        found: list[Entry] = []
        for token in self.processes.tokens():
            with contextlib.suppress(errors.Misconfigured):
                found += self.all_of(token)
        return [entry for entry in found if isinstance(entry.thing, Attaching)]

    def all_of(self, token: str) -> list[Entry]:
        """The entries of all stores in the journal of the process *token*.

        :raises errors.Misconfigured: the base cannot be used
        """
        with files.using(self.processes.base):
            try:
                with self.processes.opened(token) as directory:
                    names = files.names(directory)
            except FileNotFoundError:
                return []
        found = (self._entry(token, name) for name in names if name.endswith(_SUFFIX))
        return [entry for entry in found if entry is not None]

    def _entry(self, token: str, name: str) -> Entry | None:
        """The entry in a file; None if it is gone, or was cut by a power failure."""
        try:
            with self.processes.opened(token) as directory:
                text = files.read(name, directory)
                written_at = files.written_at(name, directory)
            return Entry(token, name, _parsed(json.loads(text)), written_at)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            LOG.warning("Entry %s of journal %s is not usable: %s", name, token, error)
            return None


def _new_name() -> str:
    return f"{uuid.uuid4()}{_SUFFIX}"


def _parsed(values: Any) -> Thing:
    kind = _KINDS[values.pop("kind")]
    return kind(**values)
