# SPDX-License-Identifier: Apache-2.0
"""The space that files occupy; a value that is unknown has its reason."""

import contextlib
import os

import pytest

from glance_ontap_store import errors
from glance_ontap_store.survey import allocated
from glance_ontap_store.survey import process_setup
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.facts import StoreConfig
from glance_ontap_store.survey.inventory import Row
from glance_ontap_store.tests import builders

GLANCE = GlanceConfig((), (), (StoreConfig("fv1", builders.make_settings()),))


def row(volume_id, pool="h@b#a:/fv1"):
    return Row(
        store="fv1",
        image_id="image-1",
        owner="acme",
        volume_id=volume_id,
        pool=pool,
        size_gib=1,
        image_size=1,
        state="sealed",
        status="available",
        file=f"volume-{volume_id}",
    )


@pytest.fixture
def occupied(tmp_path, monkeypatch):
    """Measure rows, with a directory in the place of the only export."""

    @contextlib.contextmanager
    def mounted(_glance, _settings, export):
        if export != "a:/fv1":
            raise errors.Broken("no route to host")
        yield str(tmp_path)

    monkeypatch.setattr(process_setup, "mounted", mounted)

    def occupied(*rows):
        said = []
        return allocated.occupied(rows, GLANCE, said.append), said

    return occupied


def test_files_are_measured_in_blocks(occupied, tmp_path):
    path = tmp_path / "volume-v1"
    path.write_bytes(bytes(8192))
    assert occupied(row("v1")) == ({"v1": path.stat().st_blocks * 512}, [])


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_what_is_not_a_regular_file_is_not_measured(occupied, tmp_path, kind):
    path, elsewhere = tmp_path / "volume-v1", tmp_path / "elsewhere"
    elsewhere.write_bytes(bytes(8192))
    make = {
        "link": lambda: path.symlink_to(elsewhere),
        "fifo": lambda: os.mkfifo(path),
        "directory": path.mkdir,
    }
    make[kind]()
    found, (said,) = occupied(row("v1"))
    assert found == {}
    assert said.startswith("The files of 1 volumes were not found")


@pytest.mark.parametrize(
    ("pool", "reason"),
    [
        (None, "The pools of 1 volumes are unknown"),
        ("h@b#a:/fv1", "The files of 1 volumes were not found on a:/fv1."),
        ("h@b#a:/fv2", "The files on a:/fv2 could not be measured: no route to host"),
    ],
)
def test_an_unknown_size_has_its_reason(occupied, pool, reason):
    found, (said,) = occupied(row("v1", pool))
    assert found == {}
    assert said.startswith(reason)
