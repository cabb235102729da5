# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
import logging

import pytest

from glance_ontap_store.tests.fakes.fixtures import cloud
from glance_ontap_store.tests.fakes.fixtures import recorder

__all__ = ["cloud", "recorder"]


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    """Take away what a test, such as one of the command, adds to the root logger.

    A handler whose stream is closed prints a traceback for each later message.
    """
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in list(root.handlers):
        if handler not in handlers:
            root.removeHandler(handler)
    root.setLevel(level)
