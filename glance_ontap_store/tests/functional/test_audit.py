# SPDX-License-Identifier: Apache-2.0
"""glance-ontap audit over images that were damaged on purpose."""

import json
from pathlib import Path
from typing import Any

import pytest

from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Sized
from glance_ontap_store.tests.functional.preflight import Operator
from lab import stores
from lab.polling import wait_until


@pytest.fixture
def audit(lab: Any) -> Any:
    def run(*arguments: str) -> tuple[int, dict[tuple[str, str], Any]]:
        ended = Operator(lab).run(
            *("--os-cloud", "admin", "audit", "--store", "fv1", "-f", "json"),
            *arguments,
        )
        assert ended.stdout, ended.stderr
        rows = json.loads(ended.stdout)
        return ended.returncode, {(row["Image"], row["Code"]): row for row in rows}

    return run


def test_owner_and_flag_are_repaired(admin: Any, user: User, audit: Any) -> None:
    image = user.uploaded(Sized(MIB))
    volume = images.image_volume(admin, image.id)
    assert (image.id, "not-read-only") not in audit()[1]
    service = stores.cinder("fv1")
    service.set_metadata(volume.id, {"image_owner": "somebody"})
    service.set_readonly(volume.id, False)
    wrong = {(image.id, "wrong-owner"), (image.id, "not-read-only")}
    code, rows = audit()
    assert code == 1
    assert wrong <= set(rows)
    _, rows = audit("--repair")
    assert {rows[key]["Remedy"] for key in wrong} == {"repaired"}
    _, rows = audit()
    assert not wrong & set(rows)
    repaired = images.image_volume(admin, image.id)
    assert repaired.metadata["image_owner"] == image.owner


def test_changed_bytes_are_found_by_their_digest(
    lab: Any, admin: Any, user: User, audit: Any, tmp_path: Path
) -> None:
    base = stores.option("fv1", "ontap_mount_point_base")
    # Of processes that other tests have killed.
    connected = direct.connected(base)
    right, damaged = user.uploaded(Sized(5 * MIB)), user.uploaded(Sized(5 * MIB))
    done = str(tmp_path / "done")
    path = images.backing_file(lab, images.image_volume(admin, damaged.id))
    with open(path, "r+b") as file:
        file.seek(3 * MIB)
        before = file.read(1)
        file.seek(3 * MIB)
        file.write(bytes([before[0] ^ 1]))
    code, rows = audit("--verify=full", "--resume", done)
    assert code == 1
    assert (damaged.id, "wrong-digest") in rows
    assert not [key for key in rows if key[0] == right.id]
    volume_id = images.image_volume(admin, right.id).id
    assert volume_id in Path(done).read_text()
    # Glance's own connection ends a moment after a transfer.
    wait_until(lambda: direct.connected(base) <= connected, "audit has disconnected")


def test_a_sample_finds_a_file_that_was_cut(
    lab: Any, admin: Any, user: User, audit: Any
) -> None:
    image = user.uploaded(Sized(5 * MIB))
    path = images.backing_file(lab, images.image_volume(admin, image.id))
    with open(path, "r+b") as file:
        file.truncate(4 * MIB)
    _, rows = audit("--verify")
    assert (image.id, "unreadable") in rows


def test_an_image_whose_volume_was_deleted_by_hand(
    admin: Any, user: User, audit: Any
) -> None:
    image = user.uploaded(Sized(MIB))
    volume = images.image_volume(admin, image.id)
    storage = direct.owner("fv1").block_storage
    storage.delete_volume(volume.id)
    storage.wait_for_delete(volume, interval=1, wait=60)
    code, rows = audit()
    assert code == 1
    assert (image.id, "volume-gone") in rows
