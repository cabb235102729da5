# SPDX-License-Identifier: Apache-2.0
"""``check --deep``: does it what users will do, and removes it again.

Each store stores a small image, reads it back and deletes it. Then Glance stores
one, and Cinder makes a volume of it.

How it sees which way Cinder took: an image-volume is longer than the small image
in it. What the command writes behind the image's end is in the volume if, and
only if, Cinder copied the whole file inside the array; Glance sends the image
and nothing else. The image is new, so no cache has it yet.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import io
import os
import signal
from typing import Any
import uuid

from openstack import connection
from openstack import exceptions as sdk_errors

from glance_ontap_store import errors
from glance_ontap_store import units
from glance_ontap_store.checks import clone_outcome
from glance_ontap_store.checks import finding
from glance_ontap_store.checks.clone_outcome import Outcome
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.finding import Severity
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.client import CinderClient
from glance_ontap_store.cinder.waiting import SystemClock
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey import keystone
from glance_ontap_store.survey import process_setup
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.cinder import CinderSurvey
from glance_ontap_store.survey.cinder import ListedVolume
from glance_ontap_store.survey.facts import Facts

SIZE = 1024 * 1024 + 7
MARK_SIZE = 4096
PREFIX = "glance-ontap-check"
_PASSING = ("creating", "downloading", "queued", "deleting")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclasses.dataclass(frozen=True)
class Plan:
    """*volume_type* None: the store's own."""

    volume_type: str | None = None


def check(
    facts: Facts,
    cloud: connection.Connection | None,
    plan: Plan,
    say: Callable[[str], None],
) -> list[Finding]:
    """What the stores did. *say* is told of progress.

    All that was made is removed, when interrupted too; what stays all the same
    is a finding.
    """
    found: list[Finding] = []
    with _interruptible(say):
        for store in facts.stores:
            if store.config.settings is not None:
                trial = _Trial(store.config.settings, facts, cloud, plan, say)
                found += trial.run()
    if cloud is None:
        found.append(
            finding.not_asked(
                "cinder",
                "which way Cinder makes a volume from an image",
                "no credentials to make one with",
                "Give a cloud: --os-cloud NAME.",
            )
        )
    return found


@contextlib.contextmanager
def _interruptible(say: Callable[[str], None]) -> Iterator[None]:
    """The first signal ends the work by an exception, so that it is cleaned up.

    Later ones are ignored: the clean-up is what they would interrupt.
    """

    def stop(number: int, _frame: object) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        say("Interrupted: removing what was made ...")
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {
        each: signal.signal(each, stop)
        for each in _SIGNALS
        # nohup(1) wants to be left alone.
        if signal.getsignal(each) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class _Trial:
    """One store, tried."""

    def __init__(
        self,
        settings: Settings,
        facts: Facts,
        cloud: connection.Connection | None,
        plan: Plan,
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._facts = facts
        self._cloud = cloud
        self._plan = plan
        self._say = say
        self._id = settings.store_id or ""
        self._data = os.urandom(SIZE)
        self._found: list[Finding] = []

    def run(self) -> list[Finding]:
        """Each step that fails is a finding, and ends the store's trial."""
        try:
            self._prepare()
            self._store_and_read()
            if self._cloud is not None and self._takes_images_of(self._cloud):
                with contextlib.ExitStack() as undo:
                    self._clone(self._cloud, undo)
        except (errors.StoreError, sdk_errors.SDKException) as error:
            self._found.append(
                finding.error(
                    "deep-failed",
                    self._id,
                    f"{self._step}: {errors.describe(error)}",
                    "Mend the other findings first, then see Troubleshooting.",
                )
            )
        return self._found

    def _takes_images_of(self, cloud: connection.Connection) -> bool:
        """Whether the store is open to the cloud's project.

        :raises errors.Broken: the cloud's user cannot log in
        """
        self._begin("Logging in to the cloud")
        login = keystone.login(cloud.session)
        if isinstance(login, Unknown):
            raise errors.Broken(f"the cloud's user cannot log in: {login.text}")
        try:
            self._settings.check_owner(login.project_id)
        except errors.Refused as error:
            self._found.append(
                finding.not_asked(
                    self._id,
                    "which way Cinder makes a volume from its images",
                    str(error),
                    "Give a cloud of a project that it takes images of: --os-cloud.",
                )
            )
            return False
        return True

    def _begin(self, step: str) -> None:
        self._step = step
        self._say(f"{self._id}: {step} ...")

    def _prepare(self) -> None:
        self._begin("Starting the helper that mounts")
        try:
            process_setup.start(self._facts.glance, self._settings.rootwrap_config)
        except ImportError as error:
            raise errors.Misconfigured(f"{error}") from error

    def _store_and_read(self) -> None:
        """The store's own code: upload, download, deletion."""
        from glance_ontap_store import backend
        from glance_ontap_store.images.lifecycle import Upload

        images = backend.build(self._settings).images
        self._begin("Storing a small image")
        stored = images.store(
            Upload(
                image_id=str(uuid.uuid4()),
                owner=None,
                reader=io.BytesIO(self._data),
                size=SIZE,
                hash_algo="sha512",
            )
        )
        with self._removing(
            f"image-volume {stored.volume_id}", lambda: images.delete(stored.volume_id)
        ):
            self._begin("Reading it back")
            stream, length = images.read(stored.volume_id, 0, None)
            with contextlib.closing(stream):
                got = b"".join(stream)
            if length != SIZE or got != self._data:
                raise errors.Broken("what was read is not what was written")
            self._found.append(
                Finding(
                    Severity.INFO,
                    "deep-stored",
                    self._id,
                    f"{SIZE} bytes were stored in an image-volume and read back.",
                    "",
                )
            )

    def _clone(self, cloud: connection.Connection, undo: contextlib.ExitStack) -> None:
        """A real image, a real volume of it, and where its bytes came from."""
        name = f"{PREFIX}-{uuid.uuid4()}"
        self._begin("Having Glance store an image")
        image = self._image(cloud, name, undo)
        source, session = self._image_volume(cloud, image.id)
        mark, offset = os.urandom(MARK_SIZE), _mark_offset(source.volume)
        self._begin("Writing a mark behind the image's end")
        self._write_mark(source, session, mark, offset)
        kind = self._plan.volume_type or self._settings.volume_type
        self._begin("Having Cinder make a volume of it")
        volume = self._volume(cloud, name, image.id, kind, undo)
        self._begin("Looking into the volume")
        with self._attacher(cloud.session).readable(
            volume.id, known_raw=False, wait_s=0
        ) as opened:
            head = opened.read_at(0, SIZE)
            tail = opened.read_at(offset, MARK_SIZE)
        self._found.append(
            clone_outcome.judge(
                Outcome(
                    store_id=self._id,
                    volume_type=kind,
                    is_same=head == self._data,
                    has_mark=tail == mark,
                    image_pool=self._pool(cloud, source.volume.id),
                    volume_pool=volume.host,
                    is_encrypted=bool(volume.is_encrypted),
                ),
                self._facts.cinder,
            )
        )

    def _image(
        self, cloud: connection.Connection, name: str, undo: contextlib.ExitStack
    ) -> Any:
        image = cloud.image.create_image(
            name=name,
            allow_duplicates=True,
            disk_format="raw",
            container_format="bare",
            visibility="private",
        )
        undo.enter_context(
            self._removing(f"image {image.id}", lambda: self._delete(cloud, image.id))
        )
        answer = cloud.image.put(
            f"/images/{image.id}/file",
            data=self._data,
            headers={
                "Content-Type": "application/octet-stream",
                "X-Image-Meta-Store": self._id,
            },
        )
        sdk_errors.raise_from_response(answer)
        return image

    def _delete(self, cloud: connection.Connection, image_id: str) -> None:
        cloud.image.delete_image(image_id, ignore_missing=True)

    def _image_volume(
        self, cloud: connection.Connection, image_id: str
    ) -> tuple[ListedVolume, Any]:
        """The image's volume, and the session that may write to it.

        It is the store's, or the project's that uploaded it.
        """
        for session in (keystone.session_of(self._settings), cloud.session):
            found = CinderSurvey(self._settings, session).volumes(
                name=f"image-{image_id}"
            )
            if not isinstance(found, Unknown) and found:
                return found[0], session
        raise errors.Broken(f"Cinder shows no image-volume of image {image_id}")

    def _write_mark(
        self, source: ListedVolume, session: Any, mark: bytes, offset: int
    ) -> None:
        volume_id = source.volume.id
        inquiry = CinderSurvey(self._settings, session)
        # Sealed volumes can be written by nobody: this one is unsealed, for
        # nobody but this command knows of it.
        inquiry.set_readonly(volume_id, False)
        with self._attacher(session).writable(volume_id) as opened:
            opened.write_at(offset, mark)
            opened.sync()
        inquiry.set_readonly(volume_id, True)

    def _volume(
        self,
        cloud: connection.Connection,
        name: str,
        image_id: str,
        kind: str | None,
        undo: contextlib.ExitStack,
    ) -> Any:
        storage = cloud.block_storage
        made = storage.create_volume(
            name=name, size=1, image_id=image_id, volume_type=kind
        )

        def remove() -> None:
            volume = self._settled(storage, made.id)
            storage.delete_volume(volume, ignore_missing=True)
            # Glance deletes no image whose volume is being cloned still.
            storage.wait_for_delete(
                volume, interval=1, wait=self._settings.transition_timeout_s
            )

        undo.enter_context(self._removing(f"volume {made.id}", remove))
        volume = self._settled(storage, made.id)
        if volume.status != "available":
            said = [
                each.get("user_message", "")
                for each in storage.get(
                    f"/messages?resource_uuid={made.id}", microversion="3.5"
                )
                .json()
                .get("messages", [])
            ]
            raise errors.Broken(
                f"volume {made.id} of type {kind} went to {volume.status!r}:"
                f" {' '.join(said) or 'Cinder kept no message about it'}"
            )
        return volume

    def _settled(self, storage: Any, volume_id: str) -> Any:
        """The volume, once Cinder is done with it."""
        volume = storage.get_volume(volume_id)

        def is_done() -> bool:
            nonlocal volume
            volume = storage.get_volume(volume_id)
            return volume.status not in _PASSING

        timeout_s = self._settings.transition_timeout_s
        if not waiting.until(SystemClock(), timeout_s, is_done):
            raise errors.Broken(
                f"volume {volume_id} is still {volume.status!r} after {timeout_s} s"
            )
        return volume

    def _pool(self, cloud: connection.Connection, volume_id: str) -> str | None:
        """Where the image-volume lies, as the cloud's user sees it."""
        found = CinderSurvey(self._settings, cloud.session).volume(volume_id)
        return None if isinstance(found, Unknown) else found.pool

    def _attacher(self, session: Any) -> Any:
        from glance_ontap_store.attach.attacher import Attacher
        from glance_ontap_store.attach.brick import Brick
        from glance_ontap_store.attach.nfs.mounter import NfsMounter
        from glance_ontap_store.attach.nfs.mounts import Mounts

        base = self._settings.mount_point_base
        return Attacher(
            CinderClient(self._settings, session),
            Brick(self._settings.rootwrap_config),
            Mounts(base, NfsMounter(base)),
            SystemClock(),
        )

    @contextlib.contextmanager
    def _removing(self, what: str, remove: Callable[[], None]) -> Iterator[None]:
        """Remove *what* at the end of the block; what stays is a finding."""
        try:
            yield
        finally:
            try:
                remove()
            except (errors.StoreError, sdk_errors.SDKException) as error:
                self._found.append(
                    finding.error(
                        "deep-left-behind",
                        self._id,
                        f"The check's {what} could not be removed: {error}",
                        "Delete it.",
                    )
                )
                self._say(f"{self._id}: {what} stays: {error}")


def _mark_offset(volume: Volume) -> int:
    """Behind the image's end, in the last block of the volume."""
    return volume.size_gib * units.GIB - MARK_SIZE
