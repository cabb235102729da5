# SPDX-License-Identifier: Apache-2.0
"""The configuration files of the documentation, against the services' own options."""

import pathlib
import subprocess
import sys

import pytest

from glance_ontap_store.tests.functional import option_lists

pytestmark = pytest.mark.shared

EXAMPLES = pathlib.Path(__file__).parents[3] / "doc/source/admin/examples"


def mistakes(service, path):
    """Return the lines that `option_lists` prints; it fails if and only if it does."""
    done = subprocess.run(
        [sys.executable, "-m", option_lists.__name__, service, path],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.split("\n")[:-1]
    assert done.returncode == bool(lines), done.stderr
    return lines


@pytest.mark.parametrize(
    ("service", "name"),
    [
        ("glance", "glance-api.conf"),
        ("glance", "glance-image-import.conf"),
        ("cinder", "cinder.conf"),
    ],
)
def test_the_service_has_every_group_and_option(service, name):
    assert mistakes(service, EXAMPLES / name) == []


@pytest.mark.parametrize(
    ("service", "backend", "number"),
    [
        ("glance", "fv1:ontap", "image_size_cap"),
        ("cinder", "fv1", "glance_num_retries"),
    ],
)
def test_mistakes_are_seen(service, backend, number, tmp_path):
    path = tmp_path / "wrong.conf"
    path.write_text(
        f"[DEFAULT]\nenabled_backends = {backend}\nenabled_backend = {backend}\n"
        f"{number} = many\n[fv3]\na = b\n"
    )
    unknown, value, group = mistakes(service, path)
    assert unknown == "[DEFAULT] enabled_backend: no such option"
    assert value.startswith(f"[DEFAULT] {number}: ")
    assert group == "[fv3]: no such group"
