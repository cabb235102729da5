# SPDX-License-Identifier: Apache-2.0
"""Contracts: classes of tests that fakes and real adapters both run.

A module here is imported under its package's name, and its asserts are
rewritten by pytest like those of a test module.
"""

import pytest

pytest.register_assert_rewrite(
    f"{__name__}.device",
    f"{__name__}.mounts",
    f"{__name__}.store",
    f"{__name__}.volume_service",
)
