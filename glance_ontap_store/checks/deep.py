# SPDX-License-Identifier: Apache-2.0
"""Exercise stores end to end as users do (``check --deep``), then clean up.

Each store stores a small image, reads it back and deletes it. Then Glance stores
an image, and Cinder makes a volume from it.

A clone is told from a download by a mark. The image-volume is longer than the small
image in it, and the check writes the mark behind the image's end. The new volume has
the mark if, and only if, Cinder copied the whole file inside the array: Glance sends
nothing but the image. The image is new, so no cache has it yet.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import io
import os
import signal
from typing import Any
import uuid

from keystoneauth1 import exceptions as keystone_errors
from openstack import connection
from openstack import exceptions as sdk_errors

from glance_ontap_store import errors
from glance_ontap_store import units
from glance_ontap_store.checks import clone_outcome
from glance_ontap_store.checks import codes
from glance_ontap_store.checks import deep_replicas
from glance_ontap_store.checks import file_rights
from glance_ontap_store.checks import remedies
from glance_ontap_store.checks.clone_outcome import Outcome
from glance_ontap_store.checks.clone_outcome import Place
from glance_ontap_store.checks.deep_cloud import TrialCloud
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.client import CinderClient
from glance_ontap_store.cinder.volumes import Volumes
from glance_ontap_store.images import access
from glance_ontap_store.settings import Settings
from glance_ontap_store.stopping import interruption
from glance_ontap_store.survey import keystone
from glance_ontap_store.survey import listing
from glance_ontap_store.survey import process_setup
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.cinder import CinderSurvey
from glance_ontap_store.survey.facts import Facts

SIZE = 1024 * 1024 + 7
MARK_SIZE = 4096
PREFIX = "glance-ontap-check"
# openstacksdk lets keystoneauth's errors pass, a lost connection for instance.
_FAILURES = (
    errors.StoreError,
    sdk_errors.SDKException,
    keystone_errors.ClientException,
)


def check(
    facts: Facts,
    cloud: connection.Connection | None,
    volume_type: str | None,
    say: Callable[[str], None],
    image_endpoint: str | None = None,
) -> list[Finding]:
    """Exercise all stores; return the findings. *say* gets lines about the progress.

    In *cloud* an image is stored, and a volume of *volume_type* (None: the type of
    the store) is made from it. *image_endpoint* is the URL of the glance-api that is to
    let locations be added, None if that is not asked for.

    Everything that was made is removed, also after an interruption. Anything that
    could not be removed is a finding.
    """
    found: list[Finding] = []
    with _interruptible(say):
        for store in facts.stores:
            if store.settings is not None:
                trial = Trial(
                    store.settings, facts, cloud, volume_type, say, image_endpoint
                )
                found += trial.run()
    if cloud is None:
        found.append(
            codes.not_asked(
                "cinder",
                "whether Cinder clones or downloads an image to make a volume",
                "no credentials to make a volume with",
                "Give a cloud: --os-cloud NAME.",
            )
        )
    return found


@contextlib.contextmanager
def _interruptible(say: Callable[[str], None]) -> Iterator[None]:
    """Turn the first signal into an exception, so that the work is cleaned up.

    Later signals are ignored: they would interrupt the clean-up.
    """

    def stop(number: int, _frame: object) -> None:
        for other in interruption.SIGNALS:
            signal.signal(other, signal.SIG_IGN)
        say("Interrupted: removing what was made ...")
        raise KeyboardInterrupt(signal.Signals(number).name)

    with interruption.handled(stop):
        yield


class Trial:
    """The trial of one store."""

    def __init__(
        self,
        settings: Settings,
        facts: Facts,
        cloud: connection.Connection | None,
        volume_type: str | None,
        say: Callable[[str], None],
        image_endpoint: str | None = None,
    ) -> None:
        self._image_endpoint = image_endpoint
        self._settings = settings
        self._facts = facts
        self._cloud = cloud
        self._volume_type = volume_type or settings.volume_type
        self._say = say
        self._id = settings.store_id or ""
        self._data = os.urandom(SIZE)
        self.found: list[Finding] = []

    def run(self) -> list[Finding]:
        """Take all steps and return the findings; a failed step ends the trial."""
        try:
            self._begin("Starting the helper that mounts")
            self._start_helpers()
            self._store_and_read()
            if self._cloud is not None and self._takes_images_of(self._cloud):
                self._clone(self._cloud)
        except errors.WriteDenied as error:
            self.found.append(file_rights.denied(self._id, self._step, error))
        except _FAILURES as error:
            self.found.append(
                codes.DEEP_FAILED(
                    self._id,
                    f"{self._step}: {errors.describe(error)}",
                    "Correct the other findings first, then see Troubleshooting.",
                )
            )
        return self.found

    def _begin(self, step: str) -> None:
        self._step = step
        self._say(f"{self._id}: {step} ...")

    def _start_helpers(self) -> None:
        try:
            process_setup.start(self._facts.glance, self._settings.rootwrap_config)
        except ImportError as error:
            raise errors.Misconfigured(f"{error}") from error

    def _store_and_read(self) -> None:
        """Upload, download and delete with the store's own code."""
        # Imported late, because os-brick may be missing.
        from glance_ontap_store import backend
        from glance_ontap_store.images.filling import Upload

        images = backend.build_for_command(self._settings).images
        self._begin("Storing a small image")
        upload = Upload(
            image_id=str(uuid.uuid4()),
            owner=None,
            reader=io.BytesIO(self._data),
            size=SIZE,
            hash_algo="sha512",
        )
        volume_id = images.store(upload).volume_id
        with self.removing("volume", volume_id, lambda: images.delete(volume_id)):
            self._begin("Reading it back")
            stream, length = images.read(volume_id, 0, None)
            with contextlib.closing(stream):
                got = b"".join(stream)
            if length != SIZE or got != self._data:
                raise errors.Broken("the bytes read are not those that were written")
            self.found.append(
                codes.DEEP_STORED(
                    self._id,
                    f"{SIZE} bytes were stored in an image-volume and read back.",
                    "",
                )
            )
            self._begin("Looking at the rights of the file")
            self._look_at_rights(volume_id)
            if self._cloud is not None and self._makes_replicas:
                self._begin("Looking for the rights to make replicas")
                self._look_for_replicas(self._cloud, volume_id)

    def _look_at_rights(self, volume_id: str) -> None:
        _volumes, attacher = self._parts(keystone.session_of(self._settings))
        with attacher.readable(volume_id, known_raw=True, wait_s=0) as opened:
            access = opened.access()
        if access is not None:
            found = file_rights.opened(self._id, access, os.geteuid())
            self.found.append(found)

    @property
    def _makes_replicas(self) -> bool:
        """Return whether the cloud's user is the one that makes replicas there."""
        settings = self._settings
        is_asked = self._image_endpoint is not None
        has_type = bool(settings.replica_volume_type)
        return is_asked and has_type and not settings.owned_by_project

    def _look_for_replicas(self, cloud: connection.Connection, volume_id: str) -> None:
        survey = CinderSurvey(self._settings, cloud.session)
        operator = CinderClient(self._settings, cloud.session)
        trial = deep_replicas.Trial(
            self._id,
            self._settings.replica_volume_type or "",
            volume_id,
            listing.is_admin(cloud.session),
        )
        self.found += deep_replicas.rights_of(trial, survey, operator)

    def _takes_images_of(self, cloud: connection.Connection) -> bool:
        """Return whether the store takes images of the cloud's project.

        :raises errors.Broken: the cloud's user cannot log in
        """
        self._begin("Logging in to the cloud")
        login = keystone.login(cloud.session)
        if isinstance(login, Unknown):
            raise errors.Broken(f"the cloud's user cannot log in: {login.text}")
        try:
            access.check_accepts(
                self._settings.allowed_projects, self._id, login.project_id
            )
        except errors.Refused as error:
            self.found.append(
                codes.not_asked(
                    self._id,
                    "whether Cinder clones or downloads its images to make a volume",
                    str(error),
                    "Give a cloud whose project may use the store: --os-cloud NAME.",
                )
            )
            return False
        return True

    def _clone(self, cloud: connection.Connection) -> None:
        """Have Glance store an image and Cinder make a volume; judge the volume."""
        name = f"{PREFIX}-{uuid.uuid4()}"
        survey = CinderSurvey(self._settings, cloud.session)
        trial = TrialCloud(cloud, survey, name, self._settings.transition_timeout_s)
        with contextlib.ExitStack() as stack:
            self._begin("Having Glance store an image")
            stack.enter_context(self.removing("image", name, trial.delete_image))
            image_id = trial.create_image(self._id, self._data)
            if self._image_endpoint is not None and self._makes_replicas:
                status = trial.try_location(self._image_endpoint, image_id)
                self.found += deep_replicas.locations(
                    self._id, self._image_endpoint, status
                )
            source, session = self._image_volume(cloud, image_id)
            self._begin("Writing a mark behind the image's end")
            mark, offset = os.urandom(MARK_SIZE), _mark_offset(source)
            self._write_mark(source, session, mark, offset)
            self._begin("Having Cinder make a volume of it")
            stack.enter_context(self.removing("volume", name, trial.delete_volume))
            volume = trial.create_volume(image_id, self._volume_type)
            self._begin("Looking into the volume")
            _volumes, attacher = self._parts(cloud.session)
            with (
                attacher.readable(volume.id, known_raw=False, wait_s=0) as opened,
                errors.reading(opened.name, opened.remedies),
            ):
                head = opened.read_at(0, SIZE)
                tail = opened.read_at(offset, MARK_SIZE)
            image_at, volume_at = (
                self._place(cloud, each.id) for each in (source, volume)
            )
            outcome = Outcome(
                store_id=self._id,
                volume_type=self._volume_type,
                is_same=head == self._data,
                has_mark=tail == mark,
                image_at=image_at,
                volume_at=volume_at,
                is_encrypted=bool(volume.is_encrypted),
            )
            self.found.append(clone_outcome.judge(outcome, self._facts.cinder))

    def _image_volume(
        self, cloud: connection.Connection, image_id: str
    ) -> tuple[Volume, Any]:
        """Return the image's volume, and the session that may write to it.

        It belongs to the store's project, or to the project that uploaded the image.
        """
        for session in (keystone.session_of(self._settings), cloud.session):
            survey = CinderSurvey(self._settings, session)
            found = survey.volumes(name=f"image-{image_id}")
            if not isinstance(found, Unknown) and found:
                return found[0], session
        raise errors.Broken(
            f"Cinder shows no image-volume of image {image_id}: was it stored in"
            f" {self._id!r}?"
        )

    def _write_mark(
        self, source: Volume, session: Any, mark: bytes, offset: int
    ) -> None:
        volumes, attacher = self._parts(session)
        # Cinder attaches a sealed image-volume only for reading. Only this check knows
        # of this image, so that it may be unsealed for a moment.
        volumes.service.set_readonly(source.id, False)
        with (
            attacher.writable(source) as opened,
            errors.writing(opened.name, opened.remedies),
        ):
            opened.write_at(offset, mark)
            opened.sync()
        volumes.service.set_readonly(source.id)

    def _parts(self, session: Any) -> tuple[Volumes, Any]:
        """Return the volumes that *session* may see, and their attacher."""
        # Imported late, because os-brick may be missing.
        from glance_ontap_store import backend

        service = CinderClient(self._settings, session)
        return backend.parts(self._settings, service)

    def _place(self, cloud: connection.Connection, volume_id: str) -> Place:
        """Return where the volume is, as far as the cloud's user may see it."""
        found = CinderSurvey(self._settings, cloud.session).volume(volume_id)
        return Place() if isinstance(found, Unknown) else Place(found.pool, found.host)

    @contextlib.contextmanager
    def removing(
        self, kind: str, name: str, remove: Callable[[], None]
    ) -> Iterator[None]:
        """Remove the image or volume *name* after the block.

        If that fails, it is a finding; an error of the block is not replaced by it.
        """
        try:
            yield
        finally:
            try:
                remove()
            except _FAILURES as error:
                text = f"The {kind} {name} of the check could not be removed: {error}"
                self._say(f"{self._id}: {text}")
                remedy = f"Run: {remedies.command(kind, 'delete', name)}"
                self.found.append(codes.DEEP_LEFT_BEHIND(self._id, text, remedy))


def _mark_offset(source: Volume) -> int:
    """Return an offset behind the image's end, in the last block of the volume."""
    return source.size_gib * units.GIB - MARK_SIZE
