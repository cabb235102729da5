# SPDX-License-Identifier: Apache-2.0
"""The ways to bring an image's bytes into a new image-volume."""

import contextlib
import dataclasses
from typing import Protocol

from glance_ontap_store.cinder import outage
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.transfer import pipeline
from glance_ontap_store.transfer.device import Device
from glance_ontap_store.transfer.digests import Digests
from glance_ontap_store.transfer.digests import Verifier
from glance_ontap_store.transfer.pipeline import Written
from glance_ontap_store.transfer.sink import Sink
from glance_ontap_store.transfer.source import Reader


@dataclasses.dataclass(frozen=True)
class Upload:
    """An image as Glance hands it over; *size* in bytes, 0 for unknown."""

    image_id: str
    owner: str | None
    reader: Reader
    size: int
    hash_algo: str
    verifier: Verifier | None = None


class WritableVolumes(Protocol):
    """Makes a volume a device of this host; see `attach.attacher.Attacher`."""

    def writable(self, volume: Volume) -> contextlib.AbstractContextManager[Device]:
        """The new volume, open for writing."""


class Filler(Protocol):
    """One way to fill a volume."""

    def fill(self, volume: Volume, upload: Upload, digests: Digests) -> Written:
        """Bring the image into the new, detached volume; all of it is durable then.

        *digests* have to be new; return the image's size and what they came to.

        :raises errors.WrongLength: fewer or more bytes came than announced
        :raises errors.NoSpace, errors.WriteDenied, errors.Broken: the device failed
        """


class StreamFiller:
    """`Filler` that writes Glance's stream through this host."""

    def __init__(self, attacher: WritableVolumes, thin: bool) -> None:
        self._attacher = attacher
        self._thin = thin

    def fill(self, volume: Volume, upload: Upload, digests: Digests) -> Written:
        """As `Filler.fill`."""
        with self._attacher.writable(volume) as device:
            sink = Sink(device, self._thin)
            try:
                return pipeline.run(upload.reader, upload.size, digests, sink)
            finally:
                outage.renew()
