# SPDX-License-Identifier: Apache-2.0
"""Look at this host: its processes and what they hold, its mounts, its FlexVols."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import datetime
import os
import stat
import time

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store.errors import Reason
from glance_ontap_store.liveness import processes
from glance_ontap_store.liveness.journal import Attaching
from glance_ontap_store.liveness.journal import Journal
from glance_ontap_store.liveness.marks import Mark
from glance_ontap_store.liveness.processes import Fate
from glance_ontap_store.recovery import rounds
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey import process_setup
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.listing import StoreVolumes
from glance_ontap_store.survey.remains import CACHE_FILE
from glance_ontap_store.survey.remains import CacheFile
from glance_ontap_store.survey.remains import DeadProcess
from glance_ontap_store.survey.remains import StaleMount

LOG = logging.getLogger(__name__)


class Owners:
    """The processes of this host, by what their journals say that they hold."""

    def __init__(self, bases: Iterable[str]) -> None:
        self._bases = tuple(bases)
        # Attachment id -> the process that holds it.
        self._attachments: dict[str, Mark] = {}
        # Volume id -> a live process that is just attaching it, without an id yet. Of a
        # dead one nobody knows which reservation was its own.
        self._begun: dict[str, Mark] = {}
        for base in self._bases:
            self._read(base)

    def _read(self, base: str) -> None:
        known = processes.of(base)
        journal = Journal(known, None)
        base_id = known.base_id()
        for token in known.tokens() if base_id else ():
            mark = Mark(base_id or "", token)
            for entry in journal.all_of(token):
                if isinstance(entry.thing, Attaching):
                    thing = entry.thing
                    if thing.attachment_id is not None:
                        self._attachments[thing.attachment_id] = mark
                    elif known.fate(mark) is Fate.LIVE:
                        self._begun[thing.volume_id] = mark

    def owner(self, attachment_id: str, volume_id: str) -> Mark | None:
        """Return the process of this host that holds, or awaits, the attachment."""
        found = self._attachments.get(attachment_id)
        return found or self._begun.get(volume_id)

    def fates(self, marks: Iterable[Mark]) -> Mapping[Mark, Fate]:
        """Return what is known of the processes with these marks."""
        return {mark: self._fate(mark) for mark in marks}

    def _fate(self, mark: Mark) -> Fate:
        for base in self._bases:
            fate = processes.of(base).fate(mark)
            if fate is not Fate.ELSEWHERE:
                return fate
        return Fate.ELSEWHERE


def owners(settings: Iterable[Settings]) -> Owners:
    """Return the processes of the stores on this host.

    :raises errors.Misconfigured: a base directory cannot be used
    """
    return Owners(_bases(settings))


def _bases(settings: Iterable[Settings]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.mount_point_base for each in settings))


def dead_processes(settings: Iterable[Settings]) -> tuple[DeadProcess, ...]:
    """Return the dead processes of this host that recovery does not keep any more.

    Recovery keeps the files of those that died lately: what Cinder still makes for them
    has their mark.

    :raises errors.Misconfigured: a base directory cannot be used
    """
    found = []
    for base in _bases(settings):
        known = processes.of(base)
        journal = Journal(known, None)
        found += [
            DeadProcess(token, base, len(journal.all_of(token)))
            for token in known.dead()
            if time.time() - known.changed_at(token) > rounds.KEEP_S
        ]
    return tuple(found)


def mounts(settings: Iterable[Settings]) -> tuple[StaleMount, ...]:
    """Return the exports that are mounted on this host without a user.

    :raises errors.Misconfigured: a base directory cannot be used
    """
    # Imported late: the command must work, and report it, if os-brick is missing.
    from glance_ontap_store.attach.nfs.mounter import NfsMounter
    from glance_ontap_store.attach.nfs.mounts import Mounts

    found = []
    for base in _bases(settings):
        mounter = NfsMounter(base)
        found += [
            StaleMount(export, mounter.mount_point(export), base)
            for export in Mounts(base, mounter).unused()
        ]
    return tuple(found)


def cache_files(
    config: GlanceConfig, stores: Sequence[StoreVolumes]
) -> Answer[tuple[CacheFile, ...]]:
    """Return the driver's cached images on the FlexVols that hold image-volumes.

    Each FlexVol is mounted on this host as the store does it.
    """
    found: list[CacheFile] = []
    for store, export in _exports(stores):
        try:
            with process_setup.mounted(config, store.settings, export) as directory:
                found += _cache_files(export, directory)
        except (errors.StoreError, OSError) as error:
            return Unknown(Reason.UNREADABLE, f"{export}: {error}")
    return tuple(found)


def _exports(stores: Sequence[StoreVolumes]) -> list[tuple[StoreVolumes, str]]:
    """Return each export that has a volume of a store, with one such store."""
    found: dict[str, StoreVolumes] = {}
    for store in stores:
        for volume in store.volumes:
            # <host>@<backend>#<LIF>:<junction path>
            _, hash_, export = (volume.pool or "").rpartition("#")
            if hash_ and volume.metadata.get("ontap_store") == store.store.id:
                found.setdefault(export, store)
    return [(store, export) for export, store in found.items()]


def _cache_files(export: str, directory: str) -> list[CacheFile]:
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if not entry.name.startswith(CACHE_FILE):
                continue
            # The driver may remove it meanwhile.
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    changed_at = datetime.datetime.fromtimestamp(
                        int(status.st_mtime), datetime.timezone.utc
                    )
                    found.append(
                        CacheFile(export, entry.name, status.st_size, changed_at)
                    )
    return sorted(found, key=lambda each: each.name)
