# SPDX-License-Identifier: Apache-2.0
"""The metadata of an image-volume: its keys, its states, and how it is parsed."""

from collections.abc import Mapping
import dataclasses

from glance_ontap_store import errors

# The states of an image-volume that this store wrote.
FILLING = "filling"

SEALED = "sealed"

# The state of a temporary clone, which is no image-volume.
READING = "reading"

# Cinder limits a metadata value to 255 characters; sha512 in hex has 128.
_IMAGE_ID = "glance_image_id"

_OWNER = "image_owner"

_SIZE = "image_size"

_STORE = "ontap_store"

_STATE = "ontap_state"

_WRITER = "ontap_writer"

_WRITE_ID = "ontap_write_id"

_HASH_ALGO = "ontap_hash_algo"

_HASH_VALUE = "ontap_hash_value"


@dataclasses.dataclass(frozen=True)
class Record:
    """What an image-volume's metadata says about it.

    ``glance_image_id``, ``image_owner`` and ``image_size`` are those of
    upstream's cinder store; Cinder itself acts on ``image_owner``. The
    ``ontap_`` keys are this store's: ``store`` (the store's id), ``state``
    (``filling`` until every byte is on the array, then ``sealed``), ``writer``
    (the host that fills it), ``write_id`` (one upload attempt) and the
    multihash.
    """

    image_id: str | None = None
    owner: str | None = None
    size: int | None = None
    store: str | None = None
    state: str | None = None
    writer: str | None = None
    write_id: str | None = None
    hash_algo: str | None = None
    hash_value: str | None = None

    @classmethod
    def parse(cls, metadata: Mapping[str, str]) -> "Record":
        """Read a volume's metadata; keys of others are ignored.

        :raises errors.Broken: when ``image_size`` is not a size
        """
        size = metadata.get(_SIZE)
        if size is not None and not size.isdecimal():
            raise errors.Broken(
                f"The image-volume's metadata says {_SIZE}={size!r}, which is not"
                " a number of bytes: somebody changed it. Set it to the size that"
                " Glance shows for the image."
            )
        return cls(
            image_id=metadata.get(_IMAGE_ID),
            owner=metadata.get(_OWNER),
            size=None if size is None else int(size),
            store=metadata.get(_STORE),
            state=metadata.get(_STATE),
            writer=metadata.get(_WRITER),
            write_id=metadata.get(_WRITE_ID),
            hash_algo=metadata.get(_HASH_ALGO),
            hash_value=metadata.get(_HASH_VALUE),
        )

    def to_metadata(self) -> dict[str, str]:
        """The metadata to write; what is unknown is left out."""
        values = {
            _IMAGE_ID: self.image_id,
            _OWNER: self.owner,
            _SIZE: None if self.size is None else str(self.size),
            _STORE: self.store,
            _STATE: self.state,
            _WRITER: self.writer,
            _WRITE_ID: self.write_id,
            _HASH_ALGO: self.hash_algo,
            _HASH_VALUE: self.hash_value,
        }
        return {key: value for key, value in values.items() if value is not None}

    @property
    def is_image(self) -> bool:
        """Whether anything marks the volume as an image's.

        Cinder's own upload (``image_upload_use_cinder_backend``) writes the
        owner at once and the image's id later.
        """
        return bool(self.image_id or self.owner)
