# SPDX-License-Identifier: Apache-2.0
"""The patches for Cinder in doc/patches, over the installed Cinder and a patched copy.

A test fails with a Cinder that has repaired the fault: then its workaround can go, see
doc/source/contributor/upstream.rst.
"""

from collections.abc import Iterator
import contextlib
from pathlib import Path
import shutil
from typing import Any

import pytest

from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import patched_cinder
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.patched_cinder import PATCHES
from lab.ontapsim import requirements
from lab.polling import wait_until

NEWEST = "newest-image-volume-only"
JUNCTION = "junction-path-as-name"
REMOTE = "remote-cache-copy"
FORMAT = "format-of-clones"
ALL = (NEWEST, JUNCTION, REMOTE, FORMAT)

needs_cinder = pytest.mark.skipif(
    patched_cinder.installed() is None,
    reason="Cinder is not installed (tox env functional)",
)
in_process = [
    pytest.mark.shared,
    needs_cinder,
    pytest.mark.skipif(
        bool(requirements.missing()), reason=requirements.missing() or "-"
    ),
]


def patch_of(name: str) -> Path:
    return PATCHES / name / "cinder.patch"


class Reproduction:
    """Runs a report's program, with the installed Cinder and with a patched one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def with_installed(self, name: str) -> Any:
        return self._run(name, None, "installed")

    def with_patch(self, name: str) -> Any:
        cinder = patched_cinder.copy(self._directory / "cinder", [patch_of(name)])
        return self._run(name, cinder, "patched")

    def _run(self, name: str, cinder: Path | None, work: str) -> Any:
        directory = self._directory / work
        directory.mkdir()
        return patched_cinder.run(PATCHES / name / "reproduce.py", directory, cinder)


@pytest.fixture
def reproduction(tmp_path: Path) -> Reproduction:
    return Reproduction(tmp_path)


class TestInOneProcess:
    pytestmark = in_process

    @pytest.mark.long
    def test_upstream_tries_the_newest_image_volume_only(
        self, reproduction: Reproduction
    ) -> None:
        assert reproduction.with_installed(NEWEST) == {
            "newest without its file": {"downloads": 1, "bytes are right": True},
            "across pools": ["refused", "downloaded"],
        }
        assert reproduction.with_patch(NEWEST) == {
            "newest without its file": {"downloads": 0, "bytes are right": True},
            "across pools": ["cloned"],
        }

    @pytest.mark.long
    def test_upstream_migrates_into_the_flexvol_named_like_the_path(
        self, reproduction: Reproduction
    ) -> None:
        found = reproduction.with_installed(JUNCTION)
        assert "Could not find unique volume" in found["/cinder/ssd"]
        assert found["/fv2"] == "in its pool: False; in ['fv2']"
        assert reproduction.with_patch(JUNCTION) == {
            "/cinder/ssd": "migrated",
            "/fv2": "migrated",
        }

    @pytest.mark.long
    def test_upstream_does_not_copy_from_a_remote_cache(
        self, reproduction: Reproduction
    ) -> None:
        pools = ("/fv2", "/cinder/ssd")
        failed = {"cloned": False, "copies": 0}
        assert reproduction.with_installed(REMOTE) == dict.fromkeys(pools, failed)
        copied = {
            "cloned": True,
            "copies": 1,
            "bytes are right": True,
            "size": 1,
            "cached in its pool": True,
        }
        assert reproduction.with_patch(REMOTE) == dict.fromkeys(pools, copied)

    @pytest.mark.long
    def test_upstream_takes_the_format_of_a_clone_from_its_content(
        self, reproduction: Reproduction
    ) -> None:
        found = reproduction.with_installed(FORMAT)
        raw = dict.fromkeys(("source", "clone", "larger", "from snapshot"), "raw")
        assert found["gpt"] == raw
        for content in ("vdi", "vhd", "vhdx", "vmdk-sparse"):
            assert found[content] == {
                "source": "raw",
                "clone": found[content]["from snapshot"],
                "larger": "VolumeBackendAPIException",
                "from snapshot": found[content]["from snapshot"],
            }
            assert found[content]["clone"] in ("InvalidVolume", "ProcessExecutionError")
        assert found["qcow2"] == {
            "source": "raw",
            "clone": "qcow2",
            "larger": "qcow2, and other bytes",
            "from snapshot": "qcow2",
        }
        assert reproduction.with_patch(FORMAT) == dict.fromkeys(found, raw)

    def test_the_patches_fit_together(self, tmp_path: Path) -> None:
        cinder = patched_cinder.copy(tmp_path / "all", [patch_of(name) for name in ALL])
        work = tmp_path / "work"
        work.mkdir()
        program = PATCHES / NEWEST / "reproduce.py"
        assert patched_cinder.run(program, work, cinder)["across pools"] == ["cloned"]

    def test_a_copy_leaves_the_installed_cinder_alone(self, tmp_path: Path) -> None:
        package = patched_cinder.installed()
        assert package is not None
        changed = package / "volume/drivers/netapp/dataontap/nfs_cmode.py"
        before = changed.read_bytes()
        cinder = patched_cinder.copy(tmp_path / "copy", [patch_of(JUNCTION)])
        copied = cinder / "cinder" / changed.relative_to(package)
        assert copied.read_bytes() != before
        assert changed.read_bytes() == before
        assert (cinder / "cinder/exception.py").samefile(package / "exception.py")


@contextlib.contextmanager
def patched_volume_service(lab: Any, name: str) -> Iterator[None]:
    """Run the lab's cinder-volume with the patch."""
    plugins = Path(lab.facts["root"]) / "plugins"
    patched_cinder.copy(plugins, [patch_of(name)])
    try:
        lab.restart("cinder-volume")
        yield
    finally:
        shutil.rmtree(plugins / "cinder")
        lab.restart("cinder-volume")


@pytest.fixture
def no_cached_images(lab: Any) -> Iterator[None]:
    """Remove the driver's own copies of images after the test."""
    before = cached_images(lab)
    yield
    for path in cached_images(lab) - before:
        path.unlink()


def cached_images(lab: Any) -> set[Path]:
    return {
        path
        for name in ("fv1", "fv2")
        for path in lab.flexvol(name).glob("img-cache-*")
    }


@needs_cinder
@pytest.mark.long
@pytest.mark.usefixtures("no_cached_images")
class TestInTheLab:
    def test_upstream_downloads_although_an_older_image_volume_is_there(
        self, lab: Any, admin: Any, user: User
    ) -> None:
        image = user.uploaded(pattern.Pattern(pattern.MIB), "fv2")
        images.start_import(admin, image.id, "copy-image", "own")
        wait_until(lambda: "own" in user.stores(image.id), "the image is in both")
        wait_until(lambda: images.is_idle(admin, image.id), "Glance's task has ended")
        found = images.image_volumes(admin, image.id)
        newest = images.backing_file(lab, max(found, key=lambda each: each.created_at))
        away = newest.rename(newest.with_name(f"away-{newest.name}"))
        try:
            assert downloads(lab, admin, user, image.id, "ontap-fv2") == 1
            for cached in lab.flexvol("fv2").glob(f"img-cache-{image.id}"):
                cached.unlink()
            with patched_volume_service(lab, NEWEST):
                assert downloads(lab, admin, user, image.id, "ontap-fv2") == 0
        finally:
            away.rename(newest)

    def test_upstream_downloads_although_another_pool_has_the_image_cached(
        self, lab: Any, admin: Any, user: User
    ) -> None:
        image = user.uploaded(pattern.Pattern(pattern.MIB), "file")
        cached = f"img-cache-{image.id}"
        assert downloads(lab, admin, user, image.id, "ontap-fv1") == 1
        assert downloads(lab, admin, user, image.id, "ontap-fv2") == 1
        (lab.flexvol("fv2") / cached).unlink()
        with patched_volume_service(lab, REMOTE):
            assert downloads(lab, admin, user, image.id, "ontap-fv2") == 0
        assert (lab.flexvol("fv2") / cached).exists()


def downloads(lab: Any, admin: Any, user: User, image_id: str, kind: str) -> int:
    """Make a volume of the image; return how often Glance has sent the image for it."""
    before = len(images.data_reads(lab, image_id))
    volume = user.volume(image_id=image_id, volume_type=kind)
    path = images.backing_file(lab, admin.block_storage.get_volume(volume.id))
    assert pattern.first_difference(path, pattern.MIB) is None
    return len(images.data_reads(lab, image_id)) - before
