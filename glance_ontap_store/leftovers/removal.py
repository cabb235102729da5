# SPDX-License-Identifier: Apache-2.0
"""Removes leftovers, each after a second look at it.

A leftover is judged again, by the same rules, with what Cinder, Glance and this host
say right before its removal. So two hosts may remove at the same time, and whatever
came into use meanwhile stays.
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import datetime

from glance_ontap_store import errors
from glance_ontap_store.cinder.volumes import Volumes
from glance_ontap_store.leftovers import judging
from glance_ontap_store.leftovers.leftover import Kind
from glance_ontap_store.leftovers.leftover import Leftover
from glance_ontap_store.leftovers.leftover import Limits
from glance_ontap_store.leftovers.leftover import Verdict
from glance_ontap_store.leftovers.outcome import Outcome
from glance_ontap_store.leftovers.outcome import Result
from glance_ontap_store.liveness import processes
from glance_ontap_store.liveness.journal import Journal
from glance_ontap_store.recovery.store import StoreRecovery
from glance_ontap_store.survey import gather_remains
from glance_ontap_store.survey import process_setup
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.gather_remains import Gathered
from glance_ontap_store.survey.gather_remains import Gatherer
from glance_ontap_store.survey.listing import StoreVolumes
from glance_ontap_store.survey.remains import Held
from glance_ontap_store.survey.remains import Remains
from glance_ontap_store.survey.remains import StoreRemains


def remove_all(
    found: Sequence[Leftover],
    remover: "Remover",
    say: Callable[[str], object],
    is_stopped: Callable[[], bool],
) -> list[Outcome]:
    """Remove what nothing uses; return what became of each leftover.

    *say* gets a line before each removal. No other begins once *is_stopped*.
    """
    done: list[Outcome] = []
    number = sum(each.verdict is Verdict.DEAD for each in found)
    count = 0
    for each in found:
        if each.verdict is not Verdict.DEAD or is_stopped():
            done.append(Outcome(each))
            continue
        count += 1
        say(f"{count} of {number}: {each.kind.value} {each.id} ...")
        done.append(_removed(each, remover))
    return done


def _removed(leftover: Leftover, remover: "Remover") -> Outcome:
    try:
        remover.remove(leftover)
    except InUse as error:
        return Outcome(leftover, Result.IN_USE, str(error))
    except errors.StoreError as error:
        return Outcome(leftover, Result.FAILED, errors.describe(error))
    return Outcome(leftover, Result.REMOVED)


class InUse(Exception):
    """The second look found a user, or something that is not known any more."""


class Remover:
    """Removes what `judging.judge` found among *gathered*, one thing after another."""

    def __init__(
        self,
        config: GlanceConfig,
        gatherer: Gatherer,
        gathered: Gathered,
        limits: Limits,
    ) -> None:
        self._config = config
        self._gatherer = gatherer
        self._facts = gathered.remains
        self._stores = {each.store.id: each for each in gathered.stores}
        self._limits = limits
        self._volumes: dict[str, Volumes] = {}
        # The images were listed again before the first image-volume was deleted.
        self._is_glance_fresh = False

    def remove(self, leftover: Leftover) -> None:
        """Remove one leftover whose verdict is `Verdict.DEAD`.

        Another one may have removed it meanwhile.

        :raises InUse: it stays, because it may be in use again
        :raises errors.StoreError: it stays, because a service or this host failed
        """
        ways: dict[Kind, Callable[[Leftover], None]] = {
            Kind.FILLING: self._unfinished,
            Kind.READING: self._unfinished,
            Kind.REPLICATING: self._unfinished,
            Kind.ORPHAN: self._orphan,
            Kind.ATTACHMENT: self._attachment,
            Kind.MOUNT: self._mount,
            Kind.PROCESS: self._process,
        }
        if leftover.verdict is not Verdict.DEAD or leftover.kind not in ways:
            raise InUse("this command does not remove it")
        ways[leftover.kind](leftover)

    def _unfinished(self, leftover: Leftover) -> None:
        looked = self._looked(leftover)
        if looked is None:
            return
        store, held, facts = looked
        self._check(leftover, judging.volume(facts, self._limits, store, held))
        cause = errors.Broken("")
        if not self._volumes_of(leftover).discard(leftover.id, cause):
            raise errors.Broken(errors.describe(cause).strip())

    def _orphan(self, leftover: Leftover) -> None:
        settings = self._store(leftover).settings
        now = self._gatherer.image(leftover.image_id or "", settings)
        if isinstance(now, Unknown):
            raise errors.Broken(f"Glance does not tell whether it exists: {now.text}")
        if now is not None:
            raise InUse("Glance has the image")
        if not self._is_glance_fresh:
            stores = tuple(self._stores.values())
            self._facts = self._gatherer.with_images(self._facts, stores)
            self._is_glance_fresh = True
        looked = self._looked(leftover)
        if looked is None:
            return
        store, held, facts = looked
        self._check(leftover, judging.volume(facts, self._limits, store, held))
        if held.holds:
            raise InUse("it is attached")
        try:
            self._volumes_of(leftover).delete(leftover.id)
        except errors.ImageVolumeGone:
            return

    def _attachment(self, leftover: Leftover) -> None:
        looked = self._looked(leftover)
        if looked is None:
            return
        store, held, facts = looked
        if not any(hold.id == leftover.id for hold in held.holds):
            return
        again = {
            each.id: each for each in judging.holds(facts, self._limits, store, held)
        }
        self._check(leftover, again.get(leftover.id))
        self._volumes_of(leftover).release(leftover.volume_id or "", leftover.id)

    def _mount(self, leftover: Leftover) -> None:
        # Imported late: the command must work, and report it, if os-brick is missing.
        from glance_ontap_store.attach.nfs.mounter import NfsMounter
        from glance_ontap_store.attach.nfs.mounts import Mounts

        base = leftover.base or ""
        (rootwrap, *_others) = (
            each.settings.rootwrap_config
            for each in self._stores.values()
            if each.settings.mount_point_base == base
        )
        process_setup.start(self._config, rootwrap)
        mounts = Mounts(base, NfsMounter(base))
        mounts.unmount_unused()
        if leftover.id in mounts.unused():
            raise errors.Broken("it cannot be unmounted: see the log with -v")

    def _process(self, leftover: Leftover) -> None:
        known = processes.of(leftover.base or "")
        journal = Journal(known, None)
        if journal.all_of(leftover.id):
            for store_id in self._stores:
                StoreRecovery(self._volumes_of_store(store_id)).release_dead()
        left = len(journal.all_of(leftover.id))
        if left:
            raise errors.Broken(f"{left} things that it held are not released yet")
        if not known.forget(leftover.id):
            raise InUse("the process lives")

    def _looked(self, leftover: Leftover) -> tuple[StoreRemains, Held, Remains] | None:
        """Return the volume as it is now; None if it is gone, or being deleted.

        :raises errors.StoreError: Cinder does not tell
        """
        store = self._store(leftover)
        try:
            volume = self._volumes_of(leftover).service.get(leftover.volume_id or "")
        except errors.ImageVolumeGone:
            return None
        if volume.is_leaving:
            return None
        if leftover.kind is Kind.REPLICATING:
            # Only an administrator sees whether Cinder moves it.
            seen = store.cinder.volume(volume.id)
            volume = volume if isinstance(seen, Unknown) else seen
        states = store.cinder.attachments_of(volume.id, store.is_complete)
        if isinstance(states, Unknown):
            raise errors.Broken(f"Cinder does not list its attachments: {states.text}")
        held, fates = gather_remains.held_now(store, volume, states)
        now = datetime.datetime.now(datetime.timezone.utc)
        facts = dataclasses.replace(self._facts, now=now, fates=fates)
        (found,) = (each for each in facts.stores if each.store_id == store.store.id)
        return found, held, facts

    @staticmethod
    def _check(leftover: Leftover, again: Leftover | None) -> None:
        # A volume that was sealed meanwhile is no unfinished one any more.
        if again is None or again.kind is not leftover.kind:
            raise InUse("it is in use again")
        if again.write_id != leftover.write_id:
            raise InUse("it was written again")
        if again.verdict is not Verdict.DEAD:
            raise InUse(again.keep or again.why)

    def _store(self, leftover: Leftover) -> StoreVolumes:
        return self._stores[leftover.store or ""]

    def _volumes_of(self, leftover: Leftover) -> Volumes:
        return self._volumes_of_store(leftover.store or "")

    def _volumes_of_store(self, store_id: str) -> Volumes:
        if store_id not in self._volumes:
            # Imported late, because os-brick may be missing.
            from glance_ontap_store import backend

            # os-brick disconnects this host from LUNs, with the locks of glance-api.
            process_setup.prepare(self._config)
            settings = self._stores[store_id].settings
            self._volumes[store_id] = backend.build(settings).volumes
        return self._volumes[store_id]
