# SPDX-License-Identifier: Apache-2.0
"""Stores and projects through the lab's Glance: permission to write, and owners."""

from collections.abc import Iterator
from concurrent import futures
import contextlib
import http.server
import threading
import time
from typing import Any

import pytest

from glance_ontap_store.tests import sampling
from glance_ontap_store.tests.functional import direct
from glance_ontap_store.tests.functional import images
from glance_ontap_store.tests.functional import pattern
from glance_ontap_store.tests.functional.clouds import User
from glance_ontap_store.tests.functional.pattern import MIB
from glance_ontap_store.tests.functional.pattern import Sized
from lab import glance
from lab.polling import wait_until


@pytest.fixture(scope="class")
def closed_to_others(lab: Any, alice: Any) -> Iterator[None]:
    allowed = {"ontap_allowed_projects": alice.current_project_id}
    with direct.glance_options(lab, {"fv2": allowed}):
        yield


@pytest.mark.usefixtures("closed_to_others")
class TestAllowedProjects:
    """fv2 takes images of alice's project only."""

    def test_others_are_refused_before_anything_is_created(
        self, lab: Any, bob: Any, other: User
    ) -> None:
        image = other.image()
        since = time.time()
        refused = other.put(image, Sized(MIB), "fv2")
        assert refused.status_code == 403, refused.text
        assert "ontap_allowed_projects" in refused.text
        assert bob.current_project_id in refused.text
        assert lab.cinder_requests(since) == []
        assert bob.image.get_image(image.id).status == "queued"
        assert other.put(image, Sized(MIB), "fv1").status_code == 204

    def test_an_administrators_own_image_is_refused(self, operator: User) -> None:
        refused = operator.put(operator.image(), Sized(MIB), "fv2")
        assert refused.status_code == 403, refused.text
        assert operator.cloud.current_project_id in refused.text

    def test_an_import_fails_with_the_reason_in_the_log(
        self, lab: Any, bob: Any, other: User
    ) -> None:
        image = other.image()
        since = time.time()
        other.cloud.image.put(
            f"/images/{image.id}/stage",
            data=Sized(MIB),
            headers={"Content-Type": "application/octet-stream"},
        )
        images.start_import(bob, image.id, "glance-direct", "fv2")

        def failed() -> bool:
            shown = bob.image.get(f"/images/{image.id}").json()
            return shown.get("os_glance_failed_import") == "fv2"

        wait_until(failed, "the import has failed")
        # Recovery, which may run at this moment, only looks.
        changes = [one for one in lab.cinder_requests(since) if one["method"] != "GET"]
        assert changes == []
        assert "cannot store image " + image.id + ": Store 'fv2' does not" in lab.log(
            "glance"
        )

    def test_the_allowed_project_writes_and_others_read_and_clone(
        self, lab: Any, user: User, other: User
    ) -> None:
        image = user.uploaded(Sized(MIB), "fv2", visibility="community")
        other.volume(size=1, image_id=image.id, volume_type="ontap-fv2")
        assert images.data_reads(lab, image.id) == []
        assert other.download(image.id).content == pattern.at(0, MIB)


@contextlib.contextmanager
def served(size: int) -> Iterator[str]:
    """The URL of a web server with the pattern's first *size* bytes."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            self.wfile.write(pattern.at(0, size))

        def log_message(self, *_args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/image"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.shared
class TestOwnerOfTheImage:
    """It is the image's owner, even if an administrator uploads or copies it."""

    def assert_owned_and_cloned(
        self, lab: Any, admin: Any, user: User, image: Any, reader: User
    ) -> None:
        """Assert it in every store, and that *reader*'s volumes are clones."""
        for volume in images.image_volumes(admin, image.id):
            assert volume.metadata["image_owner"] == user.cloud.current_project_id
            reads = images.data_reads(lab, image.id)
            flexvol = images.backing_file(lab, volume).parent.name
            made = reader.volume(
                size=1, image_id=image.id, volume_type=f"ontap-{flexvol}"
            )
            assert images.data_reads(lab, image.id) == reads
            shown = admin.block_storage.get_volume(made.id)
            path = images.backing_file(lab, shown)
            assert pattern.first_difference(path, MIB) is None

    def test_an_administrator_uploads_into_a_users_image(
        self,
        lab: Any,
        admin: Any,
        operator: User,
        user: User,
        other: User,
    ) -> None:
        image = user.image()
        assert operator.put(image, Sized(MIB), "fv1").status_code == 204
        admin.image.update_image(image.id, visibility="public")
        self.assert_owned_and_cloned(lab, admin, user, image, other)

    @pytest.mark.parametrize(
        "method", sampling.one_of(2, ["glance-direct", "web-download"])
    )
    def test_an_administrator_imports_into_a_users_image(
        self, lab: Any, admin: Any, user: User, other: User, method: str
    ) -> None:
        image = user.image(visibility="community")
        if method == "glance-direct":
            admin.image.put(
                f"/images/{image.id}/stage",
                data=Sized(MIB),
                headers={"Content-Type": "application/octet-stream"},
            )
        with served(MIB) as url:
            wanted = {"name": method, "uri": url}
            if method == "glance-direct":
                del wanted["uri"]
            answer = admin.image.post(
                f"/images/{image.id}/import", json={"method": wanted, "stores": ["fv1"]}
            )
            assert answer.status_code == 202, answer.text
            wait_until(
                lambda: admin.image.get_image(image.id).status == "active",
                "the import ends",
            )
        self.assert_owned_and_cloned(lab, admin, user, image, other)

    def test_an_administrator_copies_a_users_image(
        self, lab: Any, admin: Any, user: User, other: User
    ) -> None:
        image = user.uploaded(Sized(MIB), visibility="community")
        images.start_import(admin, image.id, "copy-image", "fv2")
        wait_until(
            lambda: "fv2" in user.stores(image.id), "the image is in both stores"
        )
        assert len(images.image_volumes(admin, image.id)) == 2
        self.assert_owned_and_cloned(lab, admin, user, image, other)

    @pytest.mark.exclusive
    @pytest.mark.long
    def test_an_upload_on_glances_last_thread_ends(
        self, lab: Any, admin: Any, user: User, operator: User
    ) -> None:
        """The store asks Glance, which has no free thread to answer."""
        others = glance.WORKERS * glance.THREADS - 1
        queued = [user.image() for _number in range(others)]
        own = operator.image()
        go_on = threading.Event()
        with futures.ThreadPoolExecutor(others) as pool:
            uploads = [
                pool.submit(stalled, lab.cloud("alice"), image, go_on)
                for image in queued
            ]
            try:
                for image in queued:
                    wait_until(
                        lambda image=image: (
                            admin.image.get_image(image.id).status == "saving"
                        ),
                        "the upload holds a thread",
                    )
                assert operator.put(own, Sized(MIB), "fv1").status_code == 204
            finally:
                go_on.set()
            assert {upload.result().status_code for upload in uploads} == {204}
        assert f"Image {own.id} is taken as owned by" in lab.log("glance")


def stalled(cloud: Any, image: Any, go_on: threading.Event) -> Any:
    """Upload data that comes when *go_on* is set; return Glance's answer."""

    def data() -> Iterator[bytes]:
        yield b"first"
        go_on.wait()
        yield b"second"

    return User(cloud).put(image, data(), "fv1")
