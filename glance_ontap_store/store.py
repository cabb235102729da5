# SPDX-License-Identifier: Apache-2.0
"""The Glance store driver ``ontap``: translates between Glance and the store."""

from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterator
import contextlib
from typing import Any

from glance_store import capabilities
import glance_store.driver
from oslo_log import log as logging

from glance_ontap_store import errors
from glance_ontap_store import opts
from glance_ontap_store.backend import Backend
from glance_ontap_store.backend import Stores
from glance_ontap_store.backend import build
from glance_ontap_store.images import access
from glance_ontap_store.images.filling import Upload
from glance_ontap_store.images.lifecycle import Lifecycle
from glance_ontap_store.location import EMPTY
from glance_ontap_store.location import SCHEMES
from glance_ontap_store.location import Location
from glance_ontap_store.location import StoreLocation
from glance_ontap_store.requester import Requester
from glance_ontap_store.settings import Settings
from glance_ontap_store.telemetry import recording
from glance_ontap_store.telemetry import starting
from glance_ontap_store.transfer.stream import ImageStream

LOG = logging.getLogger(__name__)

# Glance imports the location class from this module.
__all__ = ["Store", "StoreLocation"]


class Store(glance_store.driver.Store):
    """Keeps images as Cinder image-volumes on ONTAP."""

    _CAPABILITIES = (
        capabilities.BitMasks.READ_RANDOM
        | capabilities.BitMasks.WRITE_ACCESS
        | capabilities.BitMasks.DRIVER_REUSABLE
    )
    OPTIONS = opts.OPTIONS
    EXAMPLE_URL = "cinder://<STORE_ID>/<VOLUME_ID>"
    # Tests build a store over fakes.
    build: Callable[[Settings], Backend] = staticmethod(build)
    # All configured stores of type ``ontap`` of this process.
    stores = Stores()

    def __init__(self, conf: Any, backend: str | None = None) -> None:
        super().__init__(conf, backend=backend)
        self._backend: Backend | None = None
        self._mistakes = (
            "The store was not configured: see the first lines of glance-api's log."
        )
        self._url_prefix = f"cinder://{backend}" if backend else "cinder://"

    def get_schemes(self) -> tuple[str, ...]:
        """``cinder``, which Cinder can act on, and ``ontap``.

        Glance looks a store up under the scheme that is its type's name, and a
        location under the scheme of its URL: both are needed.
        """
        return SCHEMES

    def configure_add(self) -> None:
        """Read and check the options; glance_store calls it once at start.

        It does nothing else: the server may load Glance in one process and serve
        requests in its children.

        :raises glance_store.exceptions.BadStoreConfiguration: with every
            mistake; the store then refuses every request with them
        """
        try:
            with errors.as_glance_store():
                settings = Settings.from_options(
                    self._option_values(), self.backend_group
                )
                self._backend = self.build(settings)
        except Exception as error:
            self._mistakes = str(error)
            LOG.error("%s", error)
            raise
        starting.start(settings.metrics_directory)
        self.stores.add(self._backend)
        self._warn_of_shared_type(settings)

    def _warn_of_shared_type(self, settings: Settings) -> None:
        same = [
            str(sibling.settings.store_id)
            for sibling in self.stores.siblings(settings.store_id)
            if sibling.settings.volume_type == settings.volume_type
        ]
        if same:
            LOG.warning(
                "Store %s has the volume type of %s, %s: Glance cannot tell them apart"
                " where a location has lost its store. Give each store a type of its"
                " own (ontap_volume_type).",
                settings.store_id,
                same[0] if len(same) == 1 else f"{len(same)} other stores",
                settings.volume_type or "Cinder's default",
            )

    def _option_values(self) -> dict[str, Any]:
        if not self.backend_group:
            group = self.conf.glance_store
            return {option.name: group[option.dest] for option in self.OPTIONS}
        opts.declare(self.conf, self.OPTIONS, self.backend_group)
        return {
            option.name: opts.value(self.conf, self.backend_group, option.dest)
            for option in self.OPTIONS
        }

    @property
    def _configured(self) -> Backend:
        if self._backend is None:
            raise errors.Misconfigured(self._mistakes)
        # Not earlier: the server may fork after it has loaded the stores.
        self.stores.used()
        return self._backend

    @property
    def _images(self) -> Lifecycle:
        return self._configured.images

    @glance_store.driver.back_compat_add
    @capabilities.check
    def add(
        self,
        image_id: str,
        image_file: Any,
        image_size: int,
        hashing_algo: str,
        context: Any = None,
        verifier: Any = None,
    ) -> tuple[str, int, str, str, dict[str, str]]:
        """Store an image; *image_size* in bytes, 0 for unknown.

        :returns: URL, bytes written, md5, multihash, location metadata; without the
            multihash for a caller that names no *hashing_algo*
        """
        requester = Requester.from_context(context)
        with self._answering("upload", "store image %s", image_id):
            backend = self._configured
            owner = backend.owners.owner_of(image_id, requester)
            access.check_accepts(
                backend.settings.allowed_projects, self.backend_group, owner
            )
            stored = backend.images.store(
                Upload(
                    image_id=image_id,
                    # The image's owner: Cinder clones by it (see doc: design).
                    owner=owner,
                    reader=image_file,
                    size=image_size or 0,
                    hash_algo=hashing_algo,
                    verifier=verifier,
                ),
                backend.creator_for(requester),
            )
        location = Location(stored.volume_id, self.backend_group)
        metadata = {"store": self.backend_group} if self.backend_group else {}
        return str(location), stored.size, stored.checksum, stored.multihash, metadata

    @capabilities.check
    def get(
        self,
        location: Any,
        offset: int = 0,
        chunk_size: int | None = None,
        context: Any = None,
    ) -> tuple[ImageStream | Generator[bytes], int]:
        """A stream of the image's bytes and their number.

        *chunk_size* is glance_store's word for the length of a range, in bytes,
        None for all. The volume is attached here, not at the first read: only
        an error of this call makes Glance try the image's next location.
        """
        volume_id = self._volume_id(location)
        with self._answering("download", "read image-volume %s", volume_id):
            return self._images.read(volume_id, offset or 0, chunk_size)

    def get_size(self, location: Any, context: Any = None) -> int:
        """The image's size in bytes; 0 only for an image of zero bytes.

        Glance asks for it when a location is added to an image. A volume that is not
        the requester's image-volume is not found.
        """
        volume_id = self._volume_id(location)
        with self._answering("describe", "tell the size of image-volume %s", volume_id):
            requester = Requester.from_context(context)
            return self._images.size_for(volume_id, requester)

    @capabilities.check
    def delete(self, location: Any, context: Any = None) -> None:
        """Delete the image; NotFound when it is gone already.

        An image of zero bytes is stored nowhere, so there is nothing to do.
        """
        volume_id = self._volume_id(location)
        if volume_id == EMPTY:
            return
        with self._answering("delete", "delete image-volume %s", volume_id):
            backend = self._configured
            requester = Requester.from_context(context)
            record = backend.images.record_to_delete(volume_id)
            backend.owners.check_may_delete(volume_id, record, requester)
            backend.images.delete(volume_id)

    def is_image_associated_with_store(self, context: Any, volume_id: str) -> bool:
        """Return whether this store wrote the volume.

        Glance asks for locations whose metadata names no known store, and then
        rewrites the URL permanently.
        """
        return self._backend is not None and self._images.belongs_here(volume_id)

    @staticmethod
    def _volume_id(location: Any) -> str:
        parsed: Location = location.store_location.location
        return parsed.volume_id

    @contextlib.contextmanager
    def _answering(self, operation: str, what: str, subject: str) -> Iterator[None]:
        """Log a failure, once, and tell Glance in its own exceptions."""
        try:
            with (
                errors.as_glance_store(),
                recording.operation(self.backend_group, operation),
            ):
                yield
        except Exception as error:
            log = LOG.info if _is_expected(error) else LOG.error
            log("Store %s: cannot " + what + ": %s", self.backend_group, subject, error)
            raise


def _is_expected(error: BaseException) -> bool:
    """Return whether a reader or the owner of an image caused it, and not a fault."""
    cause = error.__cause__
    return isinstance(
        cause,
        errors.ImageVolumeGone
        | errors.ImageVolumeInUse
        | errors.ImageVolumeHasSnapshot
        | errors.Refused,
    )
