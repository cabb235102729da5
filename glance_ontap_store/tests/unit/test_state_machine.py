# SPDX-License-Identifier: Apache-2.0
"""Uploads, reads and deletions in any order, while processes die and requests fail."""

from collections.abc import Callable
import contextlib
from typing import Any

from glance_store import exceptions
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import stateful
from hypothesis import strategies as st
import pytest

from glance_ontap_store.tests.crash import fake_world
from glance_ontap_store.tests.fakes.cloud import FakeRig
from glance_ontap_store.tests.fakes.glance import Context
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.tests.fakes.mortal import Blow
from glance_ontap_store.tests.fakes.mortal import Run

SIZES = st.integers(min_value=1, max_value=9000)
# A process takes about forty steps for an upload, and fewer for the rest.
STEPS = st.integers(min_value=1, max_value=60)
TROUBLE = st.one_of(st.none(), st.tuples(STEPS, st.sampled_from(Blow)))
Trouble = tuple[int, Blow] | None


def add(rig: FakeRig, image_id: str, size: int, is_known: bool, breaks: bool) -> str:
    reader = OnePass(Pattern(size), most=1000, breaks_at=size // 2 if breaks else None)
    announced = size if is_known else 0
    return rig.store.add(image_id, reader, announced, "sha256", context=Context())[0]


def read(rig: FakeRig, url: str, offset: int, length: int | None) -> bytes:
    stream, _size = rig.store.get(rig.location(url), offset, length)
    return b"".join(stream)


def leave(rig: FakeRig, url: str) -> None:
    """A client that goes away before it has read anything."""
    stream, _size = rig.store.get(rig.location(url))
    stream.close()


def all_of(rig: FakeRig, urls: list[str]) -> dict[str, bytes]:
    """The images that exist."""
    found = {}
    for url in urls:
        with contextlib.suppress(exceptions.NotFound):
            found[url] = read(rig, url, 0, None)
    return found


def delete(rig: FakeRig, url: str) -> None:
    rig.store.delete(rig.location(url))


class Store(stateful.RuleBasedStateMachine):
    """A store whose processes die, and the images that it must hold."""

    def __init__(self) -> None:
        super().__init__()
        self._patch = pytest.MonkeyPatch()
        self._stack = contextlib.ExitStack()
        base, root = self._stack.enter_context(fake_world.directories())
        self._world = fake_world.new_world(base, root, self._patch)
        # The sizes of the images that exist, and of those whose deletion may have
        # begun, by their URLs.
        self.live: dict[str, int] = {}
        self.doubtful: dict[str, int] = {}

    def teardown(self) -> None:
        try:
            self._check_all()
        finally:
            self._patch.undo()
            self._stack.close()

    def _check_all(self) -> None:
        """All images are right, and when they are deleted nothing is left."""
        self.recover()
        sizes = self.live | self.doubtful
        whole = self._run(None, lambda rig: all_of(rig, list(sizes))).must()
        for url, size in sizes.items():
            found = whole.get(url)
            assert found == Pattern(size).at(0, size) or (
                found is None and url in self.doubtful
            )
        for volume_id in self._world.volumes():
            self._world.remove(f"cinder://fv1/{volume_id}")
        self.recover()
        assert self._world.host.cloud.holdings() == set()

    def _run(self, trouble: Trouble, operation: Callable[[FakeRig], Any]) -> Run:
        at, blow = trouble or (None, Blow.KILL)
        run = self._world.host.run(operation, at, blow)
        # A mistake in the test, or in the store.
        assert not isinstance(run.error, AssertionError | TypeError), run
        return run

    @stateful.rule(size=SIZES, known=st.booleans(), breaks=st.booleans(), bad=TROUBLE)
    def upload(self, size: int, known: bool, breaks: bool, bad: Trouble) -> None:
        image_id = self._world.new_id()
        run = self._run(bad, lambda rig: add(rig, image_id, size, known, breaks))
        if run.answer is not None:
            assert not breaks
            self.live[run.answer] = size
        elif bad is None:
            assert breaks, run.error

    @stateful.precondition(lambda self: self.live)
    @stateful.rule(data=st.data(), bad=TROUBLE)
    def read(self, data: st.DataObject, bad: Trouble) -> None:
        url = data.draw(st.sampled_from(sorted(self.live)))
        size = self.live[url]
        offset = data.draw(st.integers(0, size - 1))
        length = data.draw(st.one_of(st.none(), st.integers(1, size - offset)))
        run = self._run(bad, lambda rig: read(rig, url, offset, length))
        if run.answer is not None:
            whole = size - offset if length is None else length
            assert run.answer == Pattern(size).at(offset, whole)
        else:
            assert bad is not None, run.error
            assert not isinstance(run.error, exceptions.NotFound)

    @stateful.precondition(lambda self: self.live)
    @stateful.rule(data=st.data(), bad=TROUBLE)
    def abandon(self, data: st.DataObject, bad: Trouble) -> None:
        url = data.draw(st.sampled_from(sorted(self.live)))
        run = self._run(bad, lambda rig: leave(rig, url))
        assert run.error is None or bad is not None

    @stateful.precondition(lambda self: self.live or self.doubtful)
    @stateful.rule(data=st.data(), bad=TROUBLE)
    def delete(self, data: st.DataObject, bad: Trouble) -> None:
        url = data.draw(st.sampled_from(sorted({**self.live, **self.doubtful})))
        was_doubtful = url in self.doubtful
        size = self.live.pop(url, None) or self.doubtful.pop(url)
        run = self._run(bad, lambda rig: delete(rig, url))
        if run.was_killed or run.error is not None:
            is_gone = isinstance(run.error, exceptions.NotFound)
            assert not is_gone or was_doubtful or bad is not None
            assert is_gone or bad is not None, run.error
            if not is_gone:
                self.doubtful[url] = size

    @stateful.rule()
    def recover(self) -> None:
        self._run(None, self._world.recover).must()
        self._world.host.cloud.clock.sleep(60)
        assert self._world.remains() == set()


def test_nothing_is_lost_and_nothing_is_left(is_long: bool) -> None:
    stateful.run_state_machine_as_test(
        Store,
        settings=settings(
            max_examples=15 if is_long else 5,
            stateful_step_count=12,
            # The same examples in each run; and a process takes as long as it takes.
            derandomize=True,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
