# SPDX-License-Identifier: Apache-2.0
"""The release of Cinder, as an operator names it."""

import pytest

from glance_ontap_store import errors
from glance_ontap_store.survey import release


@pytest.mark.parametrize(
    ("text", "major"),
    [
        ("2024.1", 24),
        ("2024.2", 25),
        ("2025.1", 26),
        ("2025.2", 27),
        ("2026.2", 29),
        ("26", 26),
        ("26.1.0", 26),
        ("18.2.1", 18),
    ],
)
def test_a_release_has_a_major_version(text, major):
    assert release.cinder_major(text) == major


@pytest.mark.parametrize("major", [24, 25, 26, 27, 29])
def test_the_name_of_a_release_is_understood(major):
    assert release.cinder_major(release.name(major)) == major


@pytest.mark.parametrize(
    "text",
    ["", "zed", "2025", "2025.3", "2023.2", "26.x", "-26", "26 ", "\u0662\u0666"],
)
def test_anything_else_is_refused_with_its_text(text):
    with pytest.raises(errors.Misconfigured) as caught:
        release.cinder_major(text)
    assert repr(text) in str(caught.value)
