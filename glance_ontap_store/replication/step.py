# SPDX-License-Identifier: Apache-2.0
"""The values of a plan: what is to be done for an image in a store, and its outcome."""

import dataclasses
import enum

from glance_ontap_store.survey.image import Image


class Action(enum.Enum):
    """What is to be done for one image in one store."""

    # Nothing of it is there: clone, migrate, verify, seal, register.
    MAKE = "make"
    # A replica is half made, by a run that ended: go on from Cinder's state.
    RESUME = "resume"
    # The image's owner changed: write it into the image-volume.
    REFRESH = "refresh"
    # No rule wants the replica any more: remove it from the image.
    RETIRE = "retire"
    # It can be no replica of the image, and no location names it: delete it.
    DISCARD = "discard"
    # It is as the policy wants it.
    KEEP = "keep"
    # The policy wants a replica, and it cannot be made.
    REFUSE = "refuse"


class Verify(enum.Enum):
    """How a replica is compared before it is sealed."""

    NONE = "none"
    # Blocks of 1 MiB at random places with data, the first and the last one.
    SAMPLE = "sample"
    # The multihash of all bytes, read by this host.
    FULL = "full"


class By(enum.Enum):
    """Who moves the bytes of a replica."""

    ARRAY = "array"
    # Glance, through a host (copy-image).
    COPY_IMAGE = "copy-image"


@dataclasses.dataclass(frozen=True)
class Step:
    """One image and one store, and what is to be done there.

    *why* is a sentence for people. *pool* is where the store's image-volumes lie
    (``host@backend#pool``), None if that is not known. *source* is the image-volume
    that is cloned, *replica* the one that is there already; both are ids.
    *moved_bytes* are the bytes that the array copies at most.
    """

    action: Action
    image: Image
    store_id: str
    why: str
    pool: str | None = None
    source: str | None = None
    replica: str | None = None
    verify: Verify = Verify.SAMPLE
    moved_bytes: int = 0


class Result(enum.Enum):
    """What became of a step."""

    PLANNED = "planned"
    DONE = "done"
    # Somebody or something else has to end first; the next run goes on.
    LATER = "later"
    REFUSED = "refused"
    FAILED = "failed"
    # The replica is right, and a host moved its bytes: the run ends here.
    HOST_COPY = "host copy"
    # The image was deleted meanwhile, and so is its replica: nothing is left to do.
    GONE = "image deleted"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A step, and what became of it. *reason* explains every result but DONE."""

    step: Step
    result: Result
    reason: str | None = None
    seconds: float = 0.0
