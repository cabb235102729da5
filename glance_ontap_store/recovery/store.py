# SPDX-License-Identifier: Apache-2.0
"""Recovery of one store: what dead processes of this host left in Cinder.

Each step looks again before it deletes, and may be repeated, or be done by several
processes at once. If the process that recovers dies, the next round goes on: an entry
of a journal is removed after what it names.
"""

from collections.abc import Callable
import time

from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.volumes import Volumes
from glance_ontap_store.liveness.journal import Attaching
from glance_ontap_store.liveness.journal import Creating
from glance_ontap_store.liveness.journal import Entry
from glance_ontap_store.liveness.journal import Journal
from glance_ontap_store.liveness.marks import Mark
from glance_ontap_store.liveness.processes import Fate
from glance_ontap_store.recovery import judging
from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry import recording

LOG = logging.getLogger(__name__)

# A live reader connects what it has reserved within this time. One of another host that
# is slower finds its attachment gone, and tries again.
RESERVED_GRACE_S = 5.0
# Cinder may still carry out a request whose sender is dead: what it makes is looked
# for as long as this.
IN_FLIGHT_S = 300.0


class StoreRecovery:
    """Releases what dead processes of this host hold of one store.

    *now* tells the seconds since the epoch.
    """

    def __init__(self, volumes: Volumes, now: Callable[[], float] = time.time) -> None:
        self._volumes = volumes
        self._journal = volumes.journal
        self._now = now

    @property
    def journal(self) -> Journal:
        """The journal of the store."""
        return self._journal

    def release(self, entry: Entry) -> bool:
        """Release what *entry* names, and remove it; return whether it is done.

        A failure is logged only.
        """
        try:
            is_done = self._tried(entry)
        except errors.ImageVolumeGone:
            is_done = True
        except errors.StoreError as error:
            LOG.warning("%s is not released yet: %s", entry.thing, error)
            recording.record(catalogue.RECOVERY_FAILURES)
            return False
        if is_done:
            self._journal.remove(entry.token, entry.name)
        return is_done

    def release_dead(self) -> set[str]:
        """Release what dead processes left; the tokens of those that are not done.

        What cannot be released does not keep the rest from it.

        :raises errors.StoreError: Cinder does not answer, or the base cannot be used
        """
        dead = set(self._journal.processes.dead())
        if not dead:
            # All that follows needs a dead process: no request is sent.
            return set()
        waiting = {
            entry.token
            for token in sorted(dead)
            for entry in self._journal.of(token)
            if not self.release(entry)
        }
        for volume in self._suspects():
            try:
                waiting |= self._release_marked(volume)
            except errors.ImageVolumeGone:
                # A deletion that had begun has ended.
                continue
            except errors.StoreError as error:
                LOG.warning("Volume %s is not released yet: %s", volume.id, error)
                recording.record(catalogue.RECOVERY_FAILURES)
                waiting |= dead
        return waiting

    def _suspects(self) -> list[Volume]:
        """Volumes of this store that a dead process may hold."""
        service = self._volumes.service
        found: list[Volume] = []
        for state in judging.UNFINISHED:
            found += service.search(metadata={"ontap_state": state.value})
        for state in judging.KEPT:
            found += service.search("in-use", {"ontap_state": state.value})
        return found

    def _release_marked(self, volume: Volume) -> set[str]:
        """Release what has the mark of a dead process; the tokens that are not done."""
        if judging.is_abandoned(volume, self._journal.store_id, self._is_dead):
            volume = self._volumes.service.get(volume.id)
            if judging.is_abandoned(volume, self._journal.store_id, self._is_dead):
                LOG.info("Volume %s of a dead process is deleted", volume.id)
                if not self._discarded(volume.id):
                    return {_token(volume.metadata.get("ontap_lock"))}
            return set()
        self._detach_dead(volume)
        return set()

    def _detach_dead(self, volume: Volume) -> bool:
        """Delete the attachments of dead processes; return whether there were any."""
        found = judging.dead_attachments(volume, self._is_dead)
        for attachment in found:
            LOG.info(
                "Attachment %s of volume %s, of a dead process, is deleted",
                attachment.id,
                volume.id,
            )
            self._detach(volume.id, attachment.id)
        return bool(found)

    def _detach(self, volume_id: str, attachment_id: str) -> None:
        self._volumes.release(volume_id, attachment_id)
        recording.record(catalogue.RECOVERED, "attachment")

    def _discarded(self, volume_id: str) -> bool:
        is_done = self._volumes.discard(volume_id)
        if is_done:
            recording.record(catalogue.RECOVERED, "volume")
        else:
            recording.record(catalogue.RECOVERY_FAILURES)
        return is_done

    def _is_dead(self, mark: Mark) -> bool:
        return self._journal.processes.fate(mark) is Fate.DEAD

    def free(self, volume_id: str) -> bool:
        """Release the volume from dead processes; return whether anything was done.

        It asks Cinder only if a process of this host died, or this process could not
        release something. A failure is logged only: the caller goes on without.
        """
        try:
            return self._freed(volume_id)
        except errors.StoreError as error:
            LOG.warning("Volume %s stays as it is: %s", volume_id, error)
            return False

    def _freed(self, volume_id: str) -> bool:
        dead = self._journal.processes.dead()
        entries = [entry for token in dead for entry in self._journal.of(token)]
        entries += self._journal.left()
        mine = [entry for entry in entries if entry.thing.volume_id == volume_id]
        is_done = False
        for entry in mine:
            is_done |= self.release(entry)
        if dead:
            volume = self._volumes.service.get(volume_id)
            is_done |= self._detach_dead(volume)
        return is_done

    def _tried(self, entry: Entry) -> bool:
        thing = entry.thing
        if isinstance(thing, Creating):
            return self._tried_volume(entry, thing)
        if thing.attachment_id is not None:
            LOG.info("%s is released", thing)
            self._detach(thing.volume_id, thing.attachment_id)
            return True
        return self._tried_reservation(entry, thing)

    def _tried_volume(self, entry: Entry, thing: Creating) -> bool:
        service = self._volumes.service
        if thing.volume_id is not None:
            found = [service.get(thing.volume_id)]
        else:
            found = service.find(thing.name)
        unfinished = [
            volume for volume in found if judging.is_of_write(volume, thing.write_id)
        ]
        for volume in unfinished:
            LOG.info("Volume %s, which was never finished, is deleted", volume.id)
            if not self._discarded(volume.id):
                return False
        return bool(unfinished) or self._cannot_come(entry, thing.volume_id)

    def _tried_reservation(self, entry: Entry, thing: Attaching) -> bool:
        """Take back a reservation whose id is not known, if there is one."""
        service = self._volumes.service
        first = set(service.reservations(thing.volume_id)) - self._known()
        if not first:
            return self._cannot_come(entry, None)
        self._volumes.clock.sleep(RESERVED_GRACE_S)
        later = set(service.reservations(thing.volume_id))
        lost = judging.unowned(first, later, self._known())
        for attachment_id in lost:
            LOG.info(
                "Attachment %s of volume %s, which nobody connects, is deleted",
                attachment_id,
                thing.volume_id,
            )
            self._detach(thing.volume_id, attachment_id)
        return bool(lost) or self._cannot_come(entry, None)

    def _known(self) -> set[str]:
        """The ids of all attachments that a process of this host has written down."""
        return {
            entry.thing.attachment_id
            for token in self._journal.processes.tokens()
            for entry in self._journal.all_of(token)
            if isinstance(entry.thing, Attaching) and entry.thing.attachment_id
        }

    def _cannot_come(self, entry: Entry, known_id: str | None) -> bool:
        """Return whether nothing can come of the entry's request any more."""
        age_s = self._now() - entry.written_at
        return known_id is not None or age_s > IN_FLIGHT_S


def _token(lock: str | None) -> str:
    mark = Mark.parse(lock)
    return mark.token if mark else ""
