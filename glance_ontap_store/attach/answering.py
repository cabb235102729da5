# SPDX-License-Identifier: Apache-2.0
"""Calls that a server or an array may never answer, each with an end.

With the option ``hard`` of NFS, and with ``queue_if_no_path`` of multipath, the kernel
waits without end. The call is made by a thread of its own: that one waits, and the
transfer fails.
"""

from collections.abc import Callable
import threading
from typing import Generic
from typing import TypeVar

from oslo_log import log as logging

from glance_ontap_store import errors

LOG = logging.getLogger(__name__)

T = TypeVar("T")


class Answering:
    """Asks, and knows which of the questions are still without an answer.

    An answer is waited for *patience_s* seconds. *remedy* is for messages, in whole
    sentences. While as many as *most* questions have no answer, no other one is asked:
    for a service that answers one at a time.
    """

    def __init__(self, remedy: str, patience_s: float, most: int | None = None) -> None:
        self._remedy = remedy
        self._patience_s = patience_s
        self._most = most
        # Guards the set. Reach: this process.
        self._lock = threading.Lock()
        self._unanswered: set[str] = set()

    def ask(
        self,
        subject: str,
        question: Callable[[], T],
        too_late: Callable[[T], object] = lambda _answer: None,
        silence: type[errors.Broken] = errors.Broken,
    ) -> T:
        """Return what *question* returns, or raise what it raises.

        *subject* is a path or a place, for messages. After an unanswered question about
        it, no other one is asked until an answer came: each would leave a thread. An
        answer that comes too late is passed to *too_late*.

        :raises errors.Broken: no answer came in time; of the class *silence*
        """
        with self._lock:
            if subject in self._unanswered:
                raise silence(self._unanswered_text(subject))
            if self._most is not None and len(self._unanswered) >= self._most:
                raise silence(self._too_many_text(subject))
        call = _Call(question)
        thread = threading.Thread(target=call.run, daemon=True, name="ontap-ask-host")
        thread.start()
        if not call.over.wait(self._patience_s):
            with self._lock:
                self._unanswered.add(subject)
            call.give_up(lambda: self._answered(subject), too_late)
            error = silence(self._unanswered_text(subject))
            LOG.warning("%s", error)
            raise error
        return call.result()

    def _answered(self, subject: str) -> None:
        with self._lock:
            self._unanswered.discard(subject)
        LOG.warning("%s answers again", subject)

    def _unanswered_text(self, subject: str) -> str:
        return f"{subject} has not answered for {self._patience_s:g} s. {self._remedy}"

    def _too_many_text(self, subject: str) -> str:
        return (
            f"{subject} is not asked, because {self._most} others have not answered for"
            f" {self._patience_s:g} s. {self._remedy}"
        )


class _Call(Generic[T]):
    """One question and its answer."""

    def __init__(self, question: Callable[[], T]) -> None:
        self._question = question
        self._answers: list[T] = []
        self._error: BaseException | None = None
        self.over = threading.Event()
        # Guards what follows. Reach: the asking thread and the thread of `run`.
        self._lock = threading.Lock()
        self._is_done = False
        self._late: Callable[[], None] | None = None

    def run(self) -> None:
        try:
            self._answers.append(self._question())
        except BaseException as error:
            self._error = error
        with self._lock:
            self._is_done = True
            late = self._late
        self.over.set()
        if late is not None:
            late()

    def result(self) -> T:
        if self._error is not None:
            # Not kept, because it refers to this object.
            error, self._error = self._error, None
            raise error
        return self._answers.pop()

    def give_up(
        self, answered: Callable[[], None], too_late: Callable[[T], object]
    ) -> None:
        """Let the answer, when it comes, be reported and thrown away."""

        def late() -> None:
            answered()
            for answer in self._answers:
                too_late(answer)

        with self._lock:
            self._late = late
            is_done = self._is_done
        if is_done:
            late()
