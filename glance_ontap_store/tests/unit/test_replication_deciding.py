# SPDX-License-Identifier: Apache-2.0
"""The next step of a replica, by values."""

import dataclasses

import pytest

from glance_ontap_store.cinder.api import Connected
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.glance.image import Image
from glance_ontap_store.images.record import Record
from glance_ontap_store.images.record import State
from glance_ontap_store.replication import deciding
from glance_ontap_store.replication.deciding import Next
from glance_ontap_store.replication.deciding import Seen
from glance_ontap_store.replication.step import Result

IMAGE = Image("i", size=5, hash_algo="sha256", hash_value="h", stores=("fv1",))
HERE, THERE = "h@b#here", "h@b#there"
REPLICATING = Record(image_id="i", store="fv2", state=State.REPLICATING, replica_of="s")
SEALED = dataclasses.replace(
    REPLICATING, state=State.SEALED, size=5, hash_algo="sha256", hash_value="h"
)


def volume(record=REPLICATING, **changes):
    wanted = {
        "id": "v",
        "status": "available",
        "size_gib": 1,
        "metadata": record.to_metadata(),
        "pool": HERE,
        "migration": "",
        "created_at": "2026-01-31T12:00:00.000000",
    }
    return Volume(**{**wanted, **changes})


def seen(found=None, image=IMAGE, registered=()):
    return Seen("fv2", THERE, image, frozenset(registered), found)


MOVED = {"pool": THERE, "migration": "success"}
ATTACHED = {"status": "in-use", "attachments": (Connected("a"),)}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        # Nothing of it is there.
        (seen(), Next.CLONE),
        (seen(image=None), Result.GONE),
        (seen(image=dataclasses.replace(IMAGE, status="deactivated")), Result.LATER),
        (seen(image=dataclasses.replace(IMAGE, stores=("fv1", "fv2"))), Result.DONE),
        # Cinder is at work on it.
        (seen(volume(status="creating")), Next.WAIT),
        (seen(volume(status="creating"), None), Next.WAIT),
        *(
            (seen(volume(migration=each), image), Next.WAIT)
            for each in ("starting", "migrating", "completing", "a new one")
            for image in (IMAGE, None)
        ),
        (seen(volume(migration="migrating", status="maintenance")), Next.WAIT),
        (seen(volume(status="maintenance")), Result.LATER),
        (seen(volume(status="maintenance"), None), Result.LATER),
        # The clone, on its way.
        (seen(volume()), Next.MIGRATE),
        # To another pool than the one that was asked for.
        (seen(volume(migration="success")), Next.DISCARD),
        (seen(volume(**ATTACHED)), Result.LATER),
        (seen(volume(status="reserved")), Result.LATER),
        (seen(volume(migration="error")), Next.DISCARD),
        (seen(volume(status="error")), Next.DISCARD),
        (seen(volume(**MOVED)), Next.VERIFY),
        (seen(volume(pool=THERE)), Next.VERIFY),
        (seen(volume(**MOVED, **ATTACHED)), Next.VERIFY),
        (seen(volume(**MOVED, name_id="other")), Next.VERIFY),
        (seen(volume(**MOVED), None), Next.DISCARD),
        (seen(volume(), None), Next.DISCARD),
        (
            seen(volume(), dataclasses.replace(IMAGE, status="deactivated")),
            Result.LATER,
        ),
        # It came another way.
        (
            seen(volume(), dataclasses.replace(IMAGE, stores=("fv1", "fv2")), {"x"}),
            Next.DISCARD,
        ),
        # Sealed.
        (seen(volume(SEALED, **MOVED)), Next.REGISTER),
        (seen(volume(SEALED, **MOVED, **ATTACHED)), Next.REGISTER),
        (seen(volume(SEALED, **MOVED), None), Next.DISCARD),
        (
            seen(volume(dataclasses.replace(SEALED, hash_value="x"), **MOVED)),
            Next.DISCARD,
        ),
        (seen(volume(dataclasses.replace(SEALED, size=6), **MOVED)), Next.DISCARD),
        (seen(volume(SEALED, **MOVED), registered={"v"}), Result.DONE),
        (
            seen(
                volume(SEALED, **MOVED),
                dataclasses.replace(IMAGE, stores=("fv1", "fv2")),
                {"v"},
            ),
            Result.DONE,
        ),
        # Another process has gone on since the volume was listed.
        (seen(volume(**MOVED), registered={"v"}), Next.WAIT),
    ],
)
def test_the_next_step(facts, expected):
    decision = deciding.decide(facts)
    if isinstance(expected, Next):
        assert decision.next is expected
        assert (decision.why is not None) is (expected is Next.DISCARD)
    else:
        assert (decision.next, decision.result) == (Next.END, expected)
        assert (decision.why is None) is (expected is Result.DONE)


class TestCandidates:
    def test_only_replicas_of_the_image_in_the_store_count(self):
        good = volume()
        others = [
            volume(dataclasses.replace(REPLICATING, image_id="j")),
            volume(dataclasses.replace(REPLICATING, store="fv1")),
            # Uploaded, or copied by Glance.
            volume(dataclasses.replace(SEALED, replica_of=None)),
            volume(dataclasses.replace(REPLICATING, state=State.FILLING)),
            volume(dataclasses.replace(REPLICATING, state=State.READING)),
            volume(status="deleting"),
            # Where a host copies one to; Cinder gives it the same name.
            volume(migration="target:v"),
        ]
        found = deciding.candidates([*others, good], "i", "fv2", frozenset())
        assert found == [good]

    def test_the_one_that_came_furthest_counts_and_then_the_oldest(self):
        registered = volume(SEALED, id="r", created_at="2026-05-01T00:00:00.000000")
        sealed = volume(SEALED, id="s", created_at="2026-04-01T00:00:00.000000")
        first = volume(id="a", created_at="2026-02-01T00:00:00.000000")
        second = volume(id="b", created_at="2026-02-01T00:00:00.000000")
        last = volume(id="c", created_at="2026-03-01T00:00:00.000000")
        wanted = [registered, sealed, first, second, last]
        found = deciding.candidates(reversed(wanted), "i", "fv2", frozenset({"r"}))
        assert found == wanted
