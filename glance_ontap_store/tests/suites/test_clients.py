# SPDX-License-Identifier: Apache-2.0
"""Sessions of users with the real clients, against a Glance that stores on fv1.

python-openstackclient and python-glanceclient run as commands, as users run them;
openstacksdk is used as their programs use it. Every test compares bytes.
"""

from concurrent.futures import ThreadPoolExecutor
import hashlib
import json
import os
from pathlib import Path
import subprocess
import urllib.request

import pytest
import yaml

from glance_ontap_store.tests import disk_formats
from glance_ontap_store.tests.suites.sessions import SIZE
from glance_ontap_store.tests.suites.sessions import Client
from glance_ontap_store.tests.suites.sessions import run
from lab.client import Lab
from lab.polling import wait_until

GIB = 1024**3
RAW = ("--disk-format", "raw", "--container-format", "bare")


def openstack(*words: object, cloud: str = "alice", **arguments: object) -> dict:
    """Run ``openstack`` with answers as JSON; return the answer, {} for none."""
    said = run("openstack", *words, "-f", "json", cloud=cloud, **arguments)
    return json.loads(said or "{}")


def create(
    user: Client, *words: object, name: str = "client", **arguments: object
) -> str:
    """Create an image with ``openstack image create``; return its id."""
    answer = openstack("image", "create", name, *RAW, *words, **arguments)
    user.remove_image(answer["id"])
    return answer["id"]


def saved(image: str, directory: Path, cloud: str = "alice") -> bytes:
    """Return the bytes of the file that ``openstack image save`` writes."""
    path = directory / "saved"
    run("openstack", "image", "save", "--file", path, image, cloud=cloud)
    return path.read_bytes()


def active(user: Client, image: str) -> dict:
    """Wait until the image is active and no import task runs; return it."""

    def settled() -> dict | None:
        found = user.cloud.image.get(f"/images/{image}").json()
        busy = found.get("os_glance_importing_to_stores")
        return None if busy or found["status"] != "active" else found

    return wait_until(settled, f"image {image} is active")


def on_array(lab: Lab, volume: str, flexvol: str = "fv1", length: int = SIZE) -> bytes:
    """Return the beginning of a volume's file."""
    with (lab.flexvol(flexvol) / f"volume-{volume}").open("rb") as file:
        return file.read(length)


class TestOpenstackClient:
    def test_an_image_comes_back_as_it_was(self, alice, data, tmp_path):
        image = create(alice, "--file", data)
        shown = openstack("image", "show", image)
        content = data.read_bytes()
        assert shown["size"] == SIZE
        assert shown["checksum"] == hashlib.md5(content).hexdigest()
        assert (
            shown["properties"]["os_hash_value"] == hashlib.sha512(content).hexdigest()
        )
        assert shown["properties"]["stores"] == "fv1"
        assert saved(image, tmp_path) == content

    def test_an_image_of_unknown_size_from_stdin(self, alice, data, tmp_path):
        image = create(alice, stdin=data)
        assert saved(image, tmp_path) == data.read_bytes()

    def test_a_staged_image_is_imported(self, alice, data, tmp_path):
        image = create(alice, "--import", "--file", data)
        assert active(alice, image)["stores"] == "fv1"
        assert saved(image, tmp_path) == data.read_bytes()

    def test_an_image_is_imported_from_the_web(self, alice, tmp_path):
        url = os.environ["SUITES_RAW_URL"]
        image = create(alice)
        run("openstack", "image", "import", image, *("--method", "web-download"),
            *("--uri", url))  # fmt: skip
        active(alice, image)
        with urllib.request.urlopen(url) as answer:
            assert saved(image, tmp_path) == answer.read()

    def test_an_image_is_copied_to_a_store_and_deleted_there(
        self, alice, data, tmp_path
    ):
        image = create(alice, "--file", data)
        run("openstack", "image", "import", image, "--method", "copy-image",
            "--store", "fv2", cloud="admin")  # fmt: skip
        assert set(active(alice, image)["stores"].split(",")) == {"fv1", "fv2"}
        run("openstack", "image", "delete", "--store", "fv1", image, cloud="admin")
        assert active(alice, image)["stores"] == "fv2"
        assert saved(image, tmp_path) == data.read_bytes()

    def test_stores_are_listed(self):
        listed = openstack("image", "stores", "list")
        assert {"fv1", "fv2", "fv3", "own"} <= {store["ID"] for store in listed}

    def test_stores_are_listed_with_details(self):
        listed = openstack("image", "stores", "list", "--detail", cloud="admin")
        assert "fv1" in json.dumps(listed)

    @pytest.mark.parametrize("kind", ["qcow2", "vmdk_sparse", "vhdx", "iso"])
    def test_an_image_of_each_format_comes_back_as_it_was(self, alice, kind, tmp_path):
        content = getattr(disk_formats, kind)()
        path = tmp_path / kind
        path.write_bytes(content)
        format = kind.partition("_")[0]
        image = create(alice, "--disk-format", format, "--file", path)
        assert saved(image, tmp_path) == content

    def test_a_shared_image_is_read_by_the_other_project(
        self, alice, bob, data, tmp_path
    ):
        image = create(alice, "--shared", "--file", data)
        globex = bob.cloud.current_project_id
        openstack("image", "add", "project", image, globex)
        run("openstack", "image", "set", "--accept", image, cloud="bob")
        assert saved(image, tmp_path, cloud="bob") == data.read_bytes()

    def test_a_protected_image_stays(self, alice, data, tmp_path):
        image = create(alice, "--protected", "--file", data)
        with pytest.raises(AssertionError, match=r"403|protected"):
            run("openstack", "image", "delete", image)
        assert saved(image, tmp_path) == data.read_bytes()
        run("openstack", "image", "set", "--unprotected", image)

    def test_a_deactivated_image_is_not_read(self, alice, data, tmp_path):
        image = create(alice, "--file", data)
        run("openstack", "image", "set", "--deactivate", image, cloud="admin")
        # openstacksdk takes the text of the refusal (403) for the image.
        with pytest.raises(AssertionError, match=r"403|checksum mismatch"):
            saved(image, tmp_path)
        run("openstack", "image", "set", "--activate", image, cloud="admin")
        assert saved(image, tmp_path) == data.read_bytes()


class TestVolumes:
    def boot_volume(self, user: Client, image: str, size: int = 1) -> str:
        answer = openstack("volume", "create", "--image", image, "--size", size,
                           "--type", "ontap-fv1", "client")  # fmt: skip
        user.remove_volume(answer["id"])
        user.available(answer["id"])
        return answer["id"]

    def test_a_volume_from_an_image_outlives_it(self, lab, alice, data):
        image = create(alice, "--file", data)
        volume = self.boot_volume(alice, image)
        run("openstack", "image", "delete", image)
        assert on_array(lab, volume) == data.read_bytes()
        assert on_array(lab, volume, length=-1)[SIZE:].count(0) == GIB - SIZE

    def test_a_larger_volume_is_extended(self, lab, alice, data):
        volume = self.boot_volume(alice, create(alice, "--file", data), size=2)
        run("openstack", "volume", "set", "--size", 3, volume)
        wait_until(
            lambda: alice.available(volume).size == 3, f"volume {volume} has 3 GiB"
        )
        assert on_array(lab, volume) == data.read_bytes()
        assert (lab.flexvol("fv1") / f"volume-{volume}").stat().st_size == 3 * GIB

    def test_an_image_from_a_volume_has_its_bytes(self, alice, data, tmp_path):
        volume = self.boot_volume(alice, create(alice, "--file", data))
        answer = openstack("image", "create", "--volume", volume, *RAW, "of-volume")
        image = answer.get("image_id") or answer["id"]
        alice.remove_image(image)
        assert active(alice, image)["size"] == GIB
        content = saved(image, tmp_path)
        assert content[:SIZE] == data.read_bytes()
        assert content[SIZE:].count(0) == GIB - SIZE

    def test_a_volume_from_a_snapshot_has_the_image(self, lab, alice, data):
        volume = self.boot_volume(alice, create(alice, "--file", data))
        snapshot = openstack("volume", "snapshot", "create", "--volume", volume, "s")
        storage = alice.cloud.block_storage

        def remove() -> None:
            # The volume cannot be deleted before the snapshot is gone.
            found = storage.get_snapshot(snapshot["id"])
            storage.delete_snapshot(found)
            storage.wait_for_delete(found, wait=120)

        alice.at_end(remove)
        wait_until(
            lambda: storage.get_snapshot(snapshot["id"]).status == "available",
            "the snapshot is available",
        )
        copy = openstack("volume", "create", "--snapshot", snapshot["id"], "copy")
        alice.remove_volume(copy["id"])
        alice.available(copy["id"])
        assert on_array(lab, copy["id"]) == data.read_bytes()

    def test_another_projects_volume_from_a_shared_image(self, lab, alice, bob, data):
        image = create(alice, "--community", "--file", data)
        answer = openstack("volume", "create", "--image", image, "--size", 1,
                           "--type", "ontap-fv1", "v", cloud="bob")  # fmt: skip
        bob.remove_volume(answer["id"])
        bob.available(answer["id"])
        assert on_array(lab, answer["id"]) == data.read_bytes()


class TestGlanceClient:
    @pytest.fixture
    def glance(self, lab):
        """Return a function that runs ``glance``, which does not read clouds.yaml."""
        clouds = yaml.safe_load(Path(lab.facts["clouds"]).read_text())["clouds"]

        def glance(*words: object, cloud: str = "alice") -> str:
            auth = clouds[cloud]["auth"]
            login = {
                "OS_AUTH_URL": auth["auth_url"],
                "OS_USERNAME": auth["username"],
                "OS_PASSWORD": auth["password"],
                "OS_PROJECT_NAME": auth["project_name"],
                "OS_USER_DOMAIN_NAME": "Default",
                "OS_PROJECT_DOMAIN_NAME": "Default",
            }
            return run("glance", *words, login=login)

        return glance

    @staticmethod
    def id_of(said: str) -> str:
        """Return the image's id in a table that glance has printed."""
        row = next(line for line in said.splitlines() if line.startswith("| id "))
        return row.split("|")[2].strip()

    @pytest.fixture
    def image(self, alice, glance, data):
        """An image of the file's bytes, made by ``glance image-create``."""
        image = self.id_of(glance("image-create", "--name", "g", *RAW, "--file", data))
        alice.remove_image(image)
        return image

    def downloaded(self, glance, image: str, directory: Path) -> bytes:
        path = directory / "downloaded"
        glance("image-download", "--file", path, image)
        return path.read_bytes()

    def test_an_image_comes_back_as_it_was(self, glance, image, data, tmp_path):
        assert self.downloaded(glance, image, tmp_path) == data.read_bytes()

    def test_glance_direct(self, alice, glance, data, tmp_path):
        said = glance("image-create-via-import", "--name", "g", *RAW,
                      "--import-method", "glance-direct", "--file", data)  # fmt: skip
        image = self.id_of(said)
        alice.remove_image(image)
        active(alice, image)
        assert self.downloaded(glance, image, tmp_path) == data.read_bytes()

    def test_a_staged_image_goes_to_two_stores(self, alice, glance, data, tmp_path):
        image = self.id_of(glance("image-create", "--name", "g", *RAW))
        alice.remove_image(image)
        glance("image-stage", "--file", data, image)
        glance("image-import", "--stores", "fv1,fv2", image)
        assert set(active(alice, image)["stores"].split(",")) == {"fv1", "fv2"}
        assert self.downloaded(glance, image, tmp_path) == data.read_bytes()

    def test_an_upload_to_a_named_store(self, alice, glance, data, tmp_path):
        image = self.id_of(glance("image-create", "--name", "g", *RAW))
        alice.remove_image(image)
        glance("image-upload", "--store", "own", "--file", data, image)
        assert active(alice, image)["stores"] == "own"
        assert self.downloaded(glance, image, tmp_path) == data.read_bytes()

    def test_a_copy_is_deleted_from_its_store(
        self, alice, glance, image, data, tmp_path
    ):
        glance("image-import", "--import-method", "copy-image", "--stores", "fv2",
               image, cloud="admin")  # fmt: skip
        assert set(active(alice, image)["stores"].split(",")) == {"fv1", "fv2"}
        glance("stores-delete", "--store", "fv2", image, cloud="admin")
        assert active(alice, image)["stores"] == "fv1"
        assert self.downloaded(glance, image, tmp_path) == data.read_bytes()

    def test_stores_are_listed(self, glance):
        assert "fv1" in glance("stores-info")

    def test_stores_are_listed_with_details(self, glance):
        assert "fv1" in glance("stores-info", "--detail", cloud="admin")

    def test_a_vhdx_from_qemu(self, alice, glance, data, tmp_path):
        disk = tmp_path / "disk.vhdx"
        subprocess.run(
            ["qemu-img", "convert", "-f", "raw", "-O", "vhdx", data, disk], check=True
        )
        said = glance("image-create", "--name", "g", "--disk-format", "vhdx",
                      "--container-format", "bare", "--file", disk)  # fmt: skip
        image = self.id_of(said)
        alice.remove_image(image)
        assert self.downloaded(glance, image, tmp_path) == disk.read_bytes()


class TestOpenstackSdk:
    def upload(self, user: Client, path: Path, name: str = "sdk", **properties: object):
        image = user.cloud.create_image(
            name,
            filename=str(path),
            disk_format="raw",
            container_format="bare",
            wait=True,
            allow_duplicates=True,
            **properties,
        )
        user.remove_image(image.id)
        return image

    def test_an_image_comes_back_as_it_was(self, alice, data, tmp_path):
        image = self.upload(alice, data)
        path = tmp_path / "downloaded"
        alice.cloud.download_image(image.id, output_path=str(path))
        assert path.read_bytes() == data.read_bytes()

    def test_a_download_in_pieces(self, alice, data):
        image = self.upload(alice, data)
        answer = alice.cloud.image.download_image(image.id, stream=True)
        pieces = answer.iter_content(chunk_size=65537)
        assert b"".join(pieces) == data.read_bytes()

    def test_a_staged_image_is_imported(self, alice, data):
        image = alice.image()
        alice.cloud.image.stage_image(image, filename=str(data))
        alice.cloud.image.import_image(image, method="glance-direct")
        active(alice, image.id)
        assert alice.download(image.id).content == data.read_bytes()

    def test_an_image_is_imported_from_the_web(self, alice):
        url = os.environ["SUITES_RAW_URL"]
        image = alice.image()
        alice.cloud.image.import_image(image, method="web-download", uri=url)
        active(alice, image.id)
        with urllib.request.urlopen(url) as answer:
            assert alice.download(image.id).content == answer.read()

    def test_four_uploads_at_once(self, alice, tmp_path):
        paths = [tmp_path / str(number) for number in range(4)]
        for path in paths:
            path.write_bytes(os.urandom(SIZE))
        with ThreadPoolExecutor(4) as pool:
            images = list(pool.map(lambda path: self.upload(alice, path), paths))
        for path, image in zip(paths, images, strict=True):
            assert alice.download(image.id).content == path.read_bytes()

    def test_an_image_of_a_volume(self, alice, data):
        image = self.upload(alice, data)
        volume = alice.volume(image_id=image.id, volume_type="ontap-fv1")
        copy = alice.cloud.block_storage.upload_volume_to_image(
            volume, "of-volume", disk_format="raw", container_format="bare"
        )
        alice.remove_image(copy["image_id"])
        assert active(alice, copy["image_id"])["size"] == GIB
        answer = alice.download(copy["image_id"], Range=f"bytes=0-{SIZE - 1}")
        assert answer.content == data.read_bytes()
