# SPDX-License-Identifier: Apache-2.0
"""The metadata of an image-volume: its keys, its states, and how it is parsed."""

from collections.abc import Mapping
import dataclasses
import enum
import re


class State(str, enum.Enum):
    """The state of a volume that this store made, as its metadata says it.

    Only what is listed here is understood: a release that adds a state gives it a
    new word, which older releases take for `UNKNOWN` and neither serve, size nor
    claim.
    """

    # Being written; its bytes are not an image yet.
    FILLING = "filling"
    # Whole, read-only, durable on the array.
    SEALED = "sealed"
    # A copy of a sealed image-volume, on its way to another FlexVol or not compared
    # yet: nothing but ``glance-ontap replicate`` may take it for the image.
    REPLICATING = "replicating"
    # A temporary clone for a reader, which is not an image-volume.
    READING = "reading"
    # A word, or a format, that this release does not know.
    UNKNOWN = "unknown"


# The version of this format. A release that changes the meaning of a key writes
# another one, and this release then takes the state for `State.UNKNOWN`.
FORMAT = "1"

# Cinder limits a metadata value to 255 characters; sha512 in hex has 128.
_IMAGE_ID = "glance_image_id"
_OWNER = "image_owner"
_SIZE = "image_size"
_STORE = "ontap_store"
_STATE = "ontap_state"
_FORMAT = "ontap_format"
_WRITER = "ontap_writer"
_PROCESS = "ontap_process"
_STARTED = "ontap_started"
_WRITE_ID = "ontap_write_id"
_LOCK = "ontap_lock"
_HASH_ALGO = "ontap_hash_algo"
_HASH_VALUE = "ontap_hash_value"
_CONTENT = "ontap_content"
_REPLICA_OF = "ontap_replica_of"
_VERIFIED = "ontap_verified"

# str.isdecimal and int accept digits of other scripts; the metadata must be ASCII.
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Record:
    """The metadata of an image-volume, parsed.

    ``glance_image_id``, ``image_owner`` and ``image_size`` (bytes) are those of
    upstream's cinder store; Cinder itself acts on ``image_owner``. The ``ontap_``
    keys are this store's:

    ``store``
        The store's id; missing for a store without one.
    ``state``, ``format``
        See `State` and `FORMAT`.
    ``writer``, ``process``, ``started``
        The host that writes the volume, the process there (see
        `writer.this_process`), and when it began, in UTC: by them a dead writer is
        told from a slow one.
    ``write_id``
        One attempt to write it; missing for a volume that was taken over (adopt).
    ``lock``
        The mark of the process that made it, see `liveness.marks.Mark`: its lock tells
        whether the process lives.
    ``hash_algo``, ``hash_value``
        The multihash.
    ``content``
        The format that the image begins with, see `transfer.content`. None where an
        older release wrote it, or nothing looked at the bytes.
    ``replica_of``
        The id of the image-volume that it is a copy of, see `replication`. None for
        one that was uploaded, copied by Glance or taken over.
    ``verified``
        How a replica was compared before it was sealed, and when.

    *bad_size* is ``image_size`` where it is not a number; *size* is None then.
    *state_text* is the word of a state that is `State.UNKNOWN`.
    """

    image_id: str | None = None
    owner: str | None = None
    size: int | None = None
    store: str | None = None
    state: State | None = None
    writer: str | None = None
    process: str | None = None
    started: str | None = None
    write_id: str | None = None
    lock: str | None = None
    hash_algo: str | None = None
    hash_value: str | None = None
    content: str | None = None
    replica_of: str | None = None
    verified: str | None = None
    bad_size: str | None = None
    state_text: str | None = None

    @classmethod
    def parse(cls, metadata: Mapping[str, str]) -> "Record":
        """Read a volume's metadata. It never fails; keys of others are ignored."""
        size = metadata.get(_SIZE)
        is_number = size is not None and _NUMBER.fullmatch(size) is not None
        state = _state(metadata)
        return cls(
            image_id=metadata.get(_IMAGE_ID),
            owner=metadata.get(_OWNER),
            size=int(size) if size is not None and is_number else None,
            store=metadata.get(_STORE),
            state=state,
            writer=metadata.get(_WRITER),
            process=metadata.get(_PROCESS),
            started=metadata.get(_STARTED),
            write_id=metadata.get(_WRITE_ID),
            lock=metadata.get(_LOCK),
            hash_algo=metadata.get(_HASH_ALGO),
            hash_value=metadata.get(_HASH_VALUE),
            content=metadata.get(_CONTENT),
            replica_of=metadata.get(_REPLICA_OF),
            verified=metadata.get(_VERIFIED),
            bad_size=None if is_number else size,
            state_text=_state_text(metadata) if state is State.UNKNOWN else None,
        )

    def to_metadata(self) -> dict[str, str]:
        """The metadata to write; what is unknown is left out."""
        values = {
            _IMAGE_ID: self.image_id,
            _OWNER: self.owner,
            _SIZE: None if self.size is None else str(self.size),
            _STORE: self.store,
            _STATE: None if self.state is None else self.state.value,
            _FORMAT: None if self.state is None else FORMAT,
            _WRITER: self.writer,
            _PROCESS: self.process,
            _STARTED: self.started,
            _WRITE_ID: self.write_id,
            _LOCK: self.lock,
            _HASH_ALGO: self.hash_algo,
            _HASH_VALUE: self.hash_value,
            _CONTENT: self.content,
            _REPLICA_OF: self.replica_of,
            _VERIFIED: self.verified,
        }
        return {key: value for key, value in values.items() if value is not None}

    @property
    def is_image(self) -> bool:
        """Return whether anything marks the volume as an image's.

        Cinder's own upload (``image_upload_use_cinder_backend``) writes the
        owner at once and the image's id later.
        """
        return bool(self.image_id or self.owner)

    @property
    def is_by_this_store(self) -> bool:
        """Return whether a store of this package, of any release, made the volume."""
        return self.state is not None or self.store is not None


def _state(metadata: Mapping[str, str]) -> State | None:
    """The state; None for a volume that another program made."""
    text = metadata.get(_STATE)
    if text is None:
        # Upstream's store and Cinder write no key of ours; a volume that has one, and
        # no state, was changed by somebody.
        is_ours = any(key.startswith("ontap_") for key in metadata)
        return State.UNKNOWN if is_ours else None
    # Releases before the format had a number wrote what format 1 means.
    if metadata.get(_FORMAT, FORMAT) != FORMAT:
        return State.UNKNOWN
    try:
        return State(text)
    except ValueError:
        return State.UNKNOWN


def _state_text(metadata: Mapping[str, str]) -> str:
    text = repr(metadata.get(_STATE, "(none)"))
    if (found := metadata.get(_FORMAT, FORMAT)) != FORMAT:
        text += f" of format {found!r}"
    return text
