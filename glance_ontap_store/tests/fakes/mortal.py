# SPDX-License-Identifier: Apache-2.0
"""Processes that are killed at a chosen step.

`Line.run` forks a process that does an operation of a store. `Host.run` serves its
requests to the fakes of Cinder and of the clock here, so that both outlive it. A
process that is to die at a step (see `steps`) is killed by SIGKILL before it takes it:
no code of it runs afterwards, and the kernel releases its locks.
"""

import collections
from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import enum
import multiprocessing
from multiprocessing.connection import Connection
import os
import signal
import threading
from typing import Any

from glance_ontap_store import errors
from glance_ontap_store.tests.fakes.cloud import FakeCloud
from glance_ontap_store.tests.fakes.cloud import FakeRig
from glance_ontap_store.tests.fakes.faulty import Faulty
from glance_ontap_store.tests.fakes.steps import Watch

# The served objects that stand for services: a call of them is a step.
_SERVICES = ("cinder.", "operator.", "glance.", "kernel.")


class Blow(enum.Enum):
    """What happens to a process at a step."""

    # It dies before the step.
    KILL = "kill"
    # The request is not done, or done without an answer. Other steps are done.
    FAIL = "fail"
    LOSE = "lose"


@dataclasses.dataclass
class Run:
    """What a process did: its *steps*, and the answer or error if it lived."""

    steps: list[str] = dataclasses.field(default_factory=list)
    was_killed: bool = False
    answer: Any = None
    error: BaseException | None = None
    # The functions in which clean-up was prepared: "module:function".
    prepared: set[str] = dataclasses.field(default_factory=set)

    def must(self) -> Any:
        """The answer; its error is raised."""
        if self.error is not None:
            raise self.error
        assert not self.was_killed
        return self.answer


class Line:
    """The line from a process that may die to the one that has started it.

    *served* are the objects here that `remote` stands for there.
    """

    def __init__(self, served: Mapping[str, Any] | None = None) -> None:
        self._served = served or {}
        self._pipe: Connection | None = None
        self._lock = threading.Lock()

    def run(
        self,
        operation: Callable[[], Any],
        at: str | int | None = None,
        blow: Blow = Blow.KILL,
        is_watched: bool = True,
    ) -> Run:
        """Do *operation* in a process of its own, which gets a *blow* at one step.

        *at* is a step as `Run.steps` has it, or its number in their order. A process
        that has done its operation ends without any clean-up, too. One that is not
        watched is faster; its only steps are its requests.
        """
        ours, theirs = multiprocessing.Pipe()
        child = os.fork()
        if not child:
            # Nothing of the starting process may run here.
            try:
                ours.close()
                self._do(theirs, operation, is_watched)
            finally:
                os._exit(0)
        theirs.close()
        run = Run()
        try:
            self._serve(ours, child, run, at, blow)
        finally:
            ours.close()
            os.waitpid(child, 0)
        return run

    def remote(self, name: str) -> Any:
        """Return what stands for the served object *name* in the other process."""
        return _Remote(self, name)

    # In the process that has started the other one.

    def _serve(
        self, pipe: Connection, child: int, run: Run, at: str | int | None, blow: Blow
    ) -> None:
        seen: collections.Counter[str] = collections.Counter()
        while True:
            try:
                kind, *message = pipe.recv()
            except EOFError:
                run.error = AssertionError("the process ended without an answer")
                return
            if kind == "end":
                run.answer, run.error, run.prepared = message
                return
            name = message[0]
            strikes = False
            if kind == "step" or name.startswith(_SERVICES):
                seen[name] += 1
                run.steps.append(f"{name} {seen[name]}")
                strikes = at in (run.steps[-1], len(run.steps))
            if strikes and blow is Blow.KILL:
                os.kill(child, signal.SIGKILL)
                run.was_killed = True
                return
            answer = None
            if kind == "call":
                called, arguments, words = message
                struck = blow if strikes else None
                answer = self._answer(called, arguments, words, struck)
            pipe.send(answer)

    def _answer(
        self, name: str, arguments: Any, words: Any, blow: Blow | None
    ) -> tuple[Any, Any]:
        target, _dot, method = name.partition(".")
        unanswered = errors.CinderUnreachable("No answer from Cinder (injected).")
        if blow is Blow.FAIL:
            return None, unanswered
        try:
            found = getattr(self._served[target], method)(*arguments, **words)
        except Exception as error:
            return None, error
        return (None, unanswered) if blow is Blow.LOSE else (found, None)

    # In the process that may die.

    def _do(
        self, pipe: Connection, operation: Callable[[], Any], is_watched: bool
    ) -> None:
        self._pipe = pipe
        answer, error = None, None
        watch = Watch(lambda name: self._ask("step", name))
        if is_watched:
            watch.start()
        try:
            answer = operation()
        except Exception as failed:
            error = failed
        watch.stop()
        try:
            self._ask("end", answer, error, watch.prepared)
        except Exception as failed:
            # What cannot be sent is a mistake in the test.
            self._ask("end", None, AssertionError(repr(failed)), set())

    def call(self, name: str, arguments: Any, words: Any) -> Any:
        """Let the test's own process make the call."""
        answer, error = self._ask("call", name, arguments, words)
        if error is not None:
            raise error
        return answer

    def _ask(self, *message: Any) -> Any:
        assert self._pipe is not None, "the store was used in the test's own process"
        with self._lock:
            self._pipe.send(message)
            return None if message[0] == "end" else self._pipe.recv()


class _Remote:
    """An object of the test's own process, for the process that is to die."""

    def __init__(self, line: Line, name: str) -> None:
        self._line = line
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(*arguments: Any, **words: Any) -> Any:
            return self._line.call(f"{self._name}.{method}", arguments, words)

        return call


class Host:
    """A host on which processes of one store run, one at a time, over fakes.

    Like a server that loads Glance first and then forks, it makes the store once, and
    *also* at the same time what else its processes use. *served* are other services.
    """

    def __init__(
        self,
        cloud: FakeCloud,
        served: Mapping[str, Any] | None = None,
        also: Callable[[FakeCloud], Any] = lambda cloud: None,
        **options: Any,
    ) -> None:
        self.cloud = cloud
        clock = cloud.clock
        services = {
            "cinder": cloud.cinder,
            "clock": clock,
            "kernel": cloud.kernel,
            **(served or {}),
        }
        self._line = Line(services)
        self.remote = self._line.remote
        cloud.volumes = Faulty(self._line.remote("cinder"))
        cloud.clock = self._line.remote("clock")
        # Devices outlive the process that has them.
        cloud.connector = self._line.remote("kernel")
        self._rig = cloud.rig(**options)
        self.also = also(cloud)
        cloud.clock = clock

    def run(
        self,
        operation: Callable[[FakeRig], Any],
        at: str | int | None = None,
        blow: Blow = Blow.KILL,
        is_watched: bool = True,
    ) -> Run:
        """Do *operation* in a process of its own; see `Line.run`."""
        return self._line.run(lambda: operation(self._rig), at, blow, is_watched)

    def do(self, operation: Callable[[FakeRig], Any]) -> Run:
        """Do *operation* in a process of its own that lives, and is not watched."""
        run = self.run(operation, is_watched=False)
        run.must()
        return run
