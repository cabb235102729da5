# SPDX-License-Identifier: Apache-2.0
"""The steps of a process: all that it does and that another process can notice.

The steps are not listed anywhere. The profiler of Python reports every call; those
which the product makes to the kernel, to Cinder, and to the helper that mounts are the
steps. So a step that is added to the product is a step here, and a process can be
killed before it.
"""

from collections.abc import Callable
from collections.abc import Mapping
import os
import pathlib
import re
import sys
import threading
from types import CodeType
from types import FrameType
from typing import Any
from urllib import parse

import keystoneauth1.session

import glance_ontap_store

_ROOT = os.path.dirname(os.path.abspath(glance_ontap_store.__file__))
_TESTS = os.path.join(_ROOT, "tests")
# Functions in C that leave something behind for others. Opening a file for reading
# leaves nothing, nor does a lock, which dies with its process; and what was written is
# there whether or not it was synced, unless the power fails.
_NOTICED = {
    "posix": {
        "ftruncate",
        "link",
        "mkdir",
        "pwrite",
        "remove",
        "rename",
        "replace",
        "rmdir",
        "unlink",
        "write",
    },
}
_OPENS_TO_CHANGE = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# The standard library, between the product and such a function.
_BETWEEN = {"contextlib", "json", "os", "pathlib", "shutil", "tempfile"}
_MOUNTER = {"mount", "unmount", "open_root", "open_as_owner"}
_CONNECTOR = {"connect", "extend", "disconnect"}
# Functions that are steps as a whole, by their files. Behind those of the fakes, of
# the real mounter and of os-brick, stands another process, or the kernel.
_WHOLE = {
    os.path.join(_TESTS, "fakes", "mounter.py"): _MOUNTER,
    os.path.join(_TESTS, "fakes", "glance.py"): {"read"},
    os.path.join(_ROOT, "attach", "nfs", "mounter.py"): _MOUNTER,
    os.path.join(_ROOT, "attach", "block", "brick.py"): _CONNECTOR,
}
# What is added to the name of a request when it is over. Cinder may be at work yet.
ANSWERED = " answered"
# Every request to a real service passes here, and again when it is repeated.
_SESSION = keystoneauth1.session.__file__
_ID = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}")
_UNDO = os.path.join(_ROOT, "undo.py")
_UNDO_STEPS = {"always", "on_failure"}


class Watch:
    """Calls *take* before each step of this process, with its name.

    *prepared* are the functions that have prepared clean-up (`undo`), as
    "module:function".
    """

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self.prepared: set[str] = set()
        self._is_on = False
        # The requests that are under way, by their frames.
        self._requests: dict[FrameType, str] = {}

    def start(self) -> None:
        """Watch this thread, and the threads that are started from now on."""
        self._is_on = True
        # An audit hook stays until the process ends.
        sys.addaudithook(self._opening)
        threading.setprofile(self._notice)
        sys.setprofile(self._notice)

    def stop(self) -> None:
        """Watch this thread and new ones no longer."""
        self._is_on = False
        sys.setprofile(None)

    def _opening(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and (arguments[2] or 0) & _OPENS_TO_CHANGE:
            self._step(sys._getframe(1), "open")

    def _notice(self, frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call":
            if _is_noticed(function):
                self._step(frame, function.__name__)
        elif event == "call":
            code = frame.f_code
            if code.co_name in _WHOLE.get(code.co_filename, ()):
                self._report(f"{pathlib.Path(code.co_filename).stem}.{code.co_name}")
            elif _is_request(code):
                self._requests[frame] = _request(frame.f_locals)
                self._report(self._requests[frame])
            elif code.co_filename == _UNDO and code.co_name in _UNDO_STEPS:
                self.prepared.add(_name(frame.f_back))
        elif event == "return" and _is_request(frame.f_code):
            self._report(self._requests.pop(frame, "?") + ANSWERED)

    def _step(self, frame: FrameType, what: str) -> None:
        caller = _product_frame(frame)
        if caller is not None:
            self._report(f"{_name(caller)} {what}")

    def _report(self, name: str) -> None:
        if self._is_on:
            self._take(name)


def _is_request(code: CodeType) -> bool:
    return code.co_filename == _SESSION and code.co_name == "request"


def _request(given: Mapping[str, Any]) -> str:
    """The name of a request: its method, its path without ids, and its action."""
    path = _ID.sub("ID", parse.urlsplit(str(given["url"])).path)
    body = given.get("json")
    action = ""
    if path.endswith("/action") and isinstance(body, Mapping):
        action = f" {next(iter(body), '')}"
    return f"{given['method']} {path}{action}"


def _is_noticed(function: Any) -> bool:
    owner = getattr(function, "__self__", None)
    if type(owner).__module__ == "_io":
        return bool(function.__name__ == "write")
    return function.__name__ in _NOTICED.get(function.__module__ or "", ())


def _product_frame(frame: FrameType | None) -> FrameType | None:
    """The function of the product that called, directly or by the standard library."""
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(_ROOT):
            return None if path.startswith(_TESTS) else frame
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _BETWEEN:
            return None
        frame = frame.f_back
    return None


def _name(frame: FrameType | None) -> str:
    assert frame is not None
    module = frame.f_globals.get("__name__", "?").removeprefix("glance_ontap_store.")
    return f"{module}:{frame.f_code.co_name}"
