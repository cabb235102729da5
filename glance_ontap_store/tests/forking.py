# SPDX-License-Identifier: Apache-2.0
"""Runs code in a child process that is forked from the test."""

from collections.abc import Callable
import os


def in_child(action: Callable[[], object]) -> str:
    """Return what *action* returns in the child, or its error, as text."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            answer = str(action())
        except BaseException as error:
            answer = repr(error)
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as file:
        return file.read()
