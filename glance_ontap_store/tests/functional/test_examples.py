# SPDX-License-Identifier: Apache-2.0
"""The configuration files of the documentation, against the services' own options."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from glance_ontap_store.tests.functional import option_lists
from glance_ontap_store.tests.functional.pattern import Pattern
from lab import packages

pytestmark = pytest.mark.shared

CONTENT_SIZE = 3 * 1024 * 1024
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


@pytest.mark.parametrize("name", ["glance-sudoers", "../deploy/packages/sudoers"])
def test_sudo_accepts_the_rules(name):
    visudo = shutil.which("visudo", path=packages.search_path())
    subprocess.run([visudo, "-cf", EXAMPLES / name], check=True)


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


def copy_images(cloud, *arguments):
    return subprocess.run(
        [sys.executable, EXAMPLES / "copy_images.py", *arguments],
        env={**os.environ, "OS_CLOUD": cloud},
        capture_output=True,
        text=True,
        check=False,
    )


class TestCopyImages:
    def test_an_image_is_in_every_store_when_it_ends(self, user):
        image = user.uploaded(Pattern(CONTENT_SIZE), store="file")
        done = copy_images("admin", image.id, "--to", "fv1", "--to", "fv2")
        assert done.returncode == 0, done.stderr
        assert set(user.stores(image.id)) == {"file", "fv1", "fv2"}

    @pytest.mark.exclusive
    def test_all_raw_images_of_a_store(self, user):
        raw = user.uploaded(Pattern(CONTENT_SIZE), store="fv3")
        other = user.uploaded(
            Pattern(CONTENT_SIZE), store="fv3", container_format="ovf"
        )
        done = copy_images("admin", "--from", "fv3", "--to", "fv2")
        assert done.returncode == 0, done.stderr
        assert set(user.stores(raw.id)) == {"fv3", "fv2"}
        assert user.stores(other.id) == ["fv3"]

    @pytest.mark.parametrize(
        ("cloud", "store", "reason"),
        [("alice", "fv2", "403"), ("admin", "nowhere", "409")],
    )
    def test_a_refusal_is_told(self, user, cloud, store, reason):
        image = user.uploaded(Pattern(CONTENT_SIZE), store="file")
        done = copy_images(cloud, image.id, "--to", store)
        assert done.returncode == 1
        assert image.id in done.stderr
        assert reason in done.stderr
        assert user.stores(image.id) == ["file"]

    def test_an_image_that_does_not_exist_is_told(self, lab):
        done = copy_images("admin", "no-such-image", "--to", "fv1")
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert "no-such-image" in line
