# SPDX-License-Identifier: Apache-2.0
"""The choice between a short run of the tests and a whole one."""

import hypothesis
import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark of the tests that a short run leaves out.

    Hypothesis tries the same values in each short run, and others in each long one: a
    change should fail for what it did. No test asserts a time or leaves files in the
    tree.
    """
    hypothesis.settings.register_profile(
        "ours",
        deadline=None,
        database=None,
        derandomize=not config.getoption("long"),
    )
    hypothesis.settings.load_profile("ours")
    config.addinivalue_line(
        "markers", "long: another case of what a short run shows; needs --long"
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that runs all tests."""
    parser.addoption("--long", action="store_true", help="run the long tests too")


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave the long tests out, unless they are asked for."""
    if config.getoption("long"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if not item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def is_long(pytestconfig: pytest.Config) -> bool:
    """Whether this is a whole run."""
    return bool(pytestconfig.getoption("long"))
