# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin: several sessions share modules of tests, each runs a part of them.

``-p glance_ontap_store.tests.functional.claims --claims DIR``. A session claims a
module by making a file in the directory, and runs its tests; a module that another
session has claimed is left out. So the sessions end at about the same time, however
long a module takes.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import itertools
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the directory."""
    parser.addoption("--claims", type=Path, help="where modules of tests are claimed")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the tests of the modules that this session claims."""
    directory: Path | None = session.config.getoption("claims")
    if directory is None or session.config.option.collectonly or session.testsfailed:
        return None
    items = claimed(session.items, directory)
    item = next(items, None)
    while item is not None:
        # Its teardown depends on what comes next.
        following = next(items, None)
        session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True


def claimed(items: Iterable[pytest.Item], directory: Path) -> Iterator[pytest.Item]:
    """Yield the tests of every module that is free when its turn comes.

    Those that start a lab of their own come first, and then those with many tests, so
    that no session is alone at the end.
    """
    groups = [
        list(group) for _, group in itertools.groupby(items, lambda item: item.path)
    ]
    for group in sorted(groups, key=_duration, reverse=True):
        if _claim(directory / group[0].path.stem):
            yield from group


def _duration(group: list[pytest.Item]) -> tuple[bool, int]:
    """Return a key that sorts modules by how long they take, roughly."""
    return group[0].get_closest_marker("own_lab") is not None, len(group)


def _claim(path: Path) -> bool:
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
