"""The values that the store works with, and the metadata of an image-volume.

Nothing here talks to anybody. The wire format of the metadata is written down
in `Record`; what Cinder returns is parsed into `Volume` by the adapter.
"""

from collections.abc import Mapping
import contextlib
import dataclasses
from typing import NamedTuple
import uuid

from glance_ontap_store import errors
from glance_ontap_store import requester as requester_

GIB = 1024**3


def gib_for(size_bytes: int) -> int:
    """The smallest Cinder size, in GiB and at least 1, that holds *size_bytes*."""
    return max(1, -(-size_bytes // GIB))


class ByteRange(NamedTuple):
    """A part of an image: *length* bytes from *offset*, both in bytes."""

    offset: int
    length: int

    @classmethod
    def clipped(cls, offset: int, length: int | None, size: int) -> "ByteRange":
        """What of the wanted range lies in an image of *size* bytes.

        *length* None means up to the end. A range that begins at or after the
        end is empty.
        """
        if offset < 0 or (length is not None and length < 0):
            raise errors.BadLocation(
                f"An image cannot be read from offset {offset} for {length} bytes."
            )
        rest = max(0, size - offset)
        return cls(offset, rest if length is None else min(length, rest))

    @property
    def end(self) -> int:
        """The first byte behind it."""
        return self.offset + self.length


class Extent(NamedTuple):
    """What a file system says of the bytes from some offset up to *end*.

    All of a hole reads as zeros. What is no hole may be anything.
    """

    is_hole: bool
    end: int


@dataclasses.dataclass(frozen=True)
class Volume:
    """A Cinder volume as the store sees it."""

    id: str
    status: str
    size_gib: int
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    volume_type: str | None = None
    encrypted: bool = False

    @property
    def is_leaving(self) -> bool:
        return self.status == "deleting"

    @property
    def is_broken(self) -> bool:
        return self.status.startswith("error")


@dataclasses.dataclass(frozen=True)
class NewVolume:
    """What Cinder is asked to create."""

    name: str
    size_gib: int
    volume_type: str | None
    metadata: Mapping[str, str]
    # The volume that it is a clone of; its type is then the source's.
    source_id: str | None = None


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


@dataclasses.dataclass(frozen=True)
class ImageVolume:
    """A volume that may be served as an image: exactly *size* bytes of it."""

    volume: Volume
    record: Record
    size: int

    @property
    def id(self) -> str:
        return self.volume.id

    @property
    def is_ours(self) -> bool:
        """Whether this package wrote it, so that it is known to be raw."""
        return self.record.state == SEALED


def image_volume(volume: Volume, store_id: str | None) -> ImageVolume:
    """Decide whether *volume* can be served as an image of store *store_id*.

    :raises errors.ImageVolumeGone: it is being deleted
    :raises errors.Refused: it is no image's, or another store's
    :raises errors.Broken: its upload never finished, or Cinder gave it up
    """
    check_ours(volume, store_id)
    record = Record.parse(volume.metadata)
    if volume.is_leaving:
        raise errors.ImageVolumeGone(f"Image-volume {volume.id} is being deleted.")
    if record.state == FILLING:
        raise errors.Broken(
            f"Image-volume {volume.id} was never sealed: its upload by host"
            f" {record.writer} did not finish. Delete the image and upload it again."
        )
    if volume.is_broken:
        raise errors.Broken(
            f"Image-volume {volume.id} is in state {volume.status!r} in Cinder:"
            " see the log of cinder-volume."
        )
    if volume.encrypted:
        raise errors.Broken(
            f"Image-volume {volume.id} is encrypted by its volume type"
            f" {volume.volume_type!r}: what it stores is not the image. Use a volume"
            " type without encryption (NetApp Volume Encryption does no harm)."
        )
    limit = volume.size_gib * GIB
    size = limit if record.size is None else record.size
    if size > limit:
        raise errors.Broken(
            f"Image-volume {volume.id} has {limit} bytes, its metadata says {size}."
        )
    return ImageVolume(volume, record, size)


def check_ours(volume: Volume, store_id: str | None) -> None:
    """Refuse a volume that is no image's, or of another store.

    The message does not tell what the volume is: whoever may add a location
    could learn it.

    :raises errors.Refused: leave the volume alone
    """
    record = Record.parse(volume.metadata)
    if not record.is_image or record.store not in (None, store_id):
        raise refusal(volume.id)


def refusal(volume_id: str) -> errors.Refused:
    """The same words for whatever a volume is."""
    return errors.Refused(f"{volume_id} is not an image-volume of this store.")


def check_owner(image: ImageVolume, requester: requester_.Requester) -> None:
    """Refuse an image-volume that another project's image lies in.

    :raises errors.Refused: only its owner, administrators and services may
    """
    if not requester.is_trusted and image.record.owner != requester.project_id:
        raise refusal(image.id)


def belongs_to(volume: Volume, store_id: str | None, volume_type: str | None) -> bool:
    """Whether an image-volume is the store's, for a location that names none.

    Its metadata names the store; or Cinder made it itself
    (``image_upload_use_cinder_backend``), which leaves an owner and no size, and
    it has the store's volume type. Whatever upstream's store wrote has a size.
    """
    record = Record.parse(volume.metadata)
    if record.store is not None:
        return record.store == store_id
    is_cinders_own = record.owner is not None and record.size is None
    return (
        is_cinders_own
        and volume_type is not None
        and (volume.volume_type == volume_type)
    )


def parse_volume_id(text: str) -> str:
    """The volume id in *text*, in the form that Cinder uses.

    :raises errors.BadLocation: when it is not a UUID in its usual form
    """
    with contextlib.suppress(ValueError):
        value = str(uuid.UUID(text))
        if value == text.lower():
            return value
    raise errors.BadLocation(f"{text!r} is not the id of a Cinder volume.")
