# SPDX-License-Identifier: Apache-2.0
"""The images that must exist, the next operation, and what its outcome means. Pure."""

import collections
import dataclasses
import enum
import random
import threading

from glance_ontap_store.tests.soak import content


class Fate(enum.Enum):
    """Whether an image exists."""

    LIVE = "live"
    # A deletion was begun: its image may be read, or be gone.
    DOUBTFUL = "doubtful"
    GONE = "gone"


@dataclasses.dataclass
class Image:
    """An image that a store said it had stored."""

    id: str
    store: str
    url: str
    data: content.Bytes
    fate: Fate = Fate.LIVE
    # The operations that use it now.
    users: int = 0


@dataclasses.dataclass(frozen=True)
class Command:
    """An operation for a process.

    *verb* is ``add``, ``abandon`` (an upload whose client goes away after *offset*
    bytes), ``read`` (the range), ``leave`` (a download that is given up after *length*
    bytes), ``delete``, or ``copy`` to store *target* under the id *new_id*.
    """

    verb: str
    store: str
    image_id: str
    data: content.Bytes
    url: str = ""
    is_size_known: bool = True
    offset: int = 0
    length: int | None = None
    target: str = ""
    new_id: str = ""


class Result(enum.Enum):
    """How an operation ended."""

    DONE = "done"
    # It raised the error of the store for "there is no such image".
    MISSING = "missing"
    # It raised another error, or a download ended early.
    FAILED = "failed"
    # Bytes came that are not the image's.
    WRONG = "wrong"
    # Its process died.
    KILLED = "killed"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result, with the URL of a new image, or the text of the error."""

    result: Result
    text: str = ""


class Model:
    """What the stores must hold. Any thread may use it.

    *most* is the number of images at which more are deleted than added.
    """

    def __init__(self, stores: list[str], most: int = 12) -> None:
        self._stores = stores
        self._most = most
        self._lock = threading.Lock()
        self._images: dict[str, Image] = {}
        self.counts: collections.Counter[tuple[str, str]] = collections.Counter()
        # Sentences, each about something that must not happen.
        self.violations: list[str] = []
        # Errors of operations, while nothing was broken on purpose.
        self.errors_in_quiet: list[str] = []

    def next(self, rng: random.Random) -> Command:
        """An operation that makes sense now."""
        with self._lock:
            verb = self._verb(rng)
            if verb in ("add", "abandon"):
                return self._new(verb, rng)
            image = self._chosen(rng, verb)
            if image is None:
                return self._new("add", rng)
            image.users += 1
            if verb == "delete":
                image.fate = Fate.DOUBTFUL
            size = image.data.size
            offset = rng.randrange(size) if verb == "read" and rng.random() < 0.5 else 0
            length = None
            if verb == "leave" or offset:
                length = rng.randrange(1, size - offset + 1)
            return Command(
                verb,
                image.store,
                image.id,
                image.data,
                url=image.url,
                offset=offset,
                length=length,
                target=rng.choice(self._stores),
                new_id=_uuid(rng),
            )

    def _verb(self, rng: random.Random) -> str:
        count = len([i for i in self._images.values() if i.fate is not Fate.GONE])
        verbs = {
            "add": 30 if count < self._most else 5,
            "abandon": 6,
            "read": 30,
            "leave": 8,
            "copy": 6 if count < self._most else 0,
            "delete": 12 if count < self._most else 30,
        }
        return rng.choices(list(verbs), list(verbs.values()))[0]

    def _new(self, verb: str, rng: random.Random) -> Command:
        data = content.Bytes(rng.randrange(2**31), content.random_size(rng))
        return Command(
            verb,
            rng.choice(self._stores),
            _uuid(rng),
            data,
            is_size_known=rng.random() < 0.7,
            offset=rng.randrange(data.size) if verb == "abandon" else 0,
        )

    def _chosen(self, rng: random.Random, verb: str) -> Image | None:
        images = list(self._images.values())
        if verb != "delete" and images and rng.random() < 0.05:
            return rng.choice(images)  # perhaps one that is gone
        exist = [
            image
            for image in images
            if image.fate is Fate.LIVE
            or (verb == "delete" and image.fate is Fate.DOUBTFUL and not image.users)
        ]
        return rng.choice(exist) if exist else None

    def done(self, command: Command, outcome: Outcome, is_quiet: bool) -> None:
        """Take the outcome of an operation.

        *is_quiet*: nothing was broken on purpose meanwhile.
        """
        with self._lock:
            self.counts[command.verb, outcome.result.value] += 1
            image = self._images.get(command.image_id)
            if image is not None:
                image.users -= 1
            if outcome.result is Result.WRONG:
                self.violations.append(f"{command.verb}: {outcome.text}")
            elif command.verb in ("add", "copy"):
                self._added(command, outcome)
            elif command.verb == "delete":
                self._deleted(command, outcome)
            elif command.verb in ("read", "leave"):
                self._read(command, outcome)
            failed = outcome.result is Result.FAILED and command.verb != "abandon"
            if failed and is_quiet:
                self.errors_in_quiet.append(f"{command.verb}: {outcome.text}")

    def _added(self, command: Command, outcome: Outcome) -> None:
        if outcome.result is Result.DONE:
            new_id = command.new_id or command.image_id
            store = command.target or command.store
            self._images[new_id] = Image(new_id, store, outcome.text, command.data)

    def _deleted(self, command: Command, outcome: Outcome) -> None:
        if outcome.result in (Result.DONE, Result.MISSING):
            self._images[command.image_id].fate = Fate.GONE

    def _read(self, command: Command, outcome: Outcome) -> None:
        image = self._images[command.image_id]
        # A deletion that began meanwhile would have changed the fate.
        if outcome.result is Result.MISSING and image.fate is Fate.LIVE:
            self.violations.append(f"image {image.id} is missing: {outcome.text}")

    def living(self) -> list[Image]:
        """The images that must exist."""
        return [image for image in self.remaining() if image.fate is Fate.LIVE]

    def remaining(self) -> list[Image]:
        """The images that may exist."""
        with self._lock:
            return [i for i in self._images.values() if i.fate is not Fate.GONE]


def _uuid(rng: random.Random) -> str:
    text = f"{rng.getrandbits(128):032x}"
    parts = (text[:8], text[8:12], f"4{text[13:16]}", f"a{text[17:20]}", text[20:])
    return "-".join(parts)
