# SPDX-License-Identifier: Apache-2.0
"""The demo itself, which `__main__` runs inside the lab."""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import hashlib
import json
import os
from pathlib import Path
import sys
import tempfile
import time
from typing import Any

import openstack
from openstack import connection

from lab import glance
from lab.client import Lab
from lab.demo import blocks
from lab.demo import screen
from lab.demo.blocks import Span
from lab.demo.command import Command
from lab.demo.screen import Progress
from lab.polling import wait_until

MIB = 1024**2
GIB = 1024**3
MANY = 20
NAME = "demo"

EXPLANATION = """\
Times are those of this machine, with a simulated array. "Through hosts" is the image
data in Glance's request log. "New on array" are blocks of the step's files that the
image-volume does not have, as the file system reports them (FIEMAP). After a download
NetApp's driver keeps a copy of the image on the FlexVol. The demo removes it before the
replica is made; otherwise the next volume would be a clone of that copy."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", metavar="FILE", help="write the results there too")
    parser.add_argument(
        "--size-gib", type=int, default=2, help="size of the image (default: 2)"
    )


def make_image(path: str, size: int) -> str:
    """Make a raw image, a quarter random data and the rest holes; return its sha512."""
    piece = 64 * MIB
    with open(path, "wb") as file:
        for offset in range(0, size, 4 * piece):
            file.seek(offset)
            file.write(os.urandom(piece))
        file.truncate(size)
    digest = hashlib.sha512()
    with open(path, "rb") as file:
        while data := file.read(4 * MIB):
            digest.update(data)
    return digest.hexdigest()


class Counted:
    """A file that counts the bytes read, with the length that requests needs."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 - closed in close
        self._size = os.path.getsize(path)
        self.done = 0

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, 4 * MIB) if size > 0 else 4 * MIB)
        self.done += len(data)
        return data

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read():
            yield data

    def close(self) -> None:
        self._file.close()


class Show:
    """The steps, measured on the file systems and in Glance's request log."""

    def __init__(self, lab: Lab, command: Command, image: str, digest: str) -> None:
        self._lab = lab
        self._flexvols: dict[str, str] = lab.facts["flexvols"]
        self._requests: str = lab.facts["glance_requests"]
        self._command = command
        self._image = image
        self._digest = digest
        self._cloud: connection.Connection = openstack.connect(cloud="alice")
        self._progress = Progress()
        self._sent_before = 0
        self.steps: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []

    def run(self) -> None:
        image_id, image_volume = self.upload()
        source = blocks.extents(image_volume)
        self.volumes(image_id, "A volume on fv1", "fv1", 1, source)
        self.volumes(image_id, f"{MANY} volumes on fv1 at once", "fv1", MANY, source)
        self.volumes(image_id, "A volume on fv2", "fv2", 1, [])
        # NetApp's driver has kept the downloaded image.
        Path(self._flexvols["fv2"], f"img-cache-{image_id}").unlink(missing_ok=True)
        self.explain(image_id, "fv2", "before the replica")
        replica = self.replica(image_id, "fv2")
        self.explain(image_id, "fv2", "after the replica")
        copied = blocks.extents(replica)
        self.volumes(image_id, "Another volume on fv2", "fv2", 1, copied)

    def upload(self) -> tuple[str, str]:
        """Upload the image to fv1; return its id and the image-volume's file."""
        cloud = self._cloud
        image = cloud.image.create_image(
            name=NAME,
            disk_format="raw",
            container_format="bare",
            allow_duplicates=True,
        )
        size = os.path.getsize(self._image)
        before = set(os.listdir(self._flexvols["fv1"]))
        with contextlib.closing(Counted(self._image)) as data:
            with self._measured(
                "Upload to fv1",
                lambda: f"{screen.human(data.done)} of {screen.human(size)}",
            ) as step:
                cloud.image.put(
                    f"/images/{image.id}/file",
                    data=data,
                    headers={
                        "Content-Type": "application/octet-stream",
                        "X-Image-Meta-Store": "fv1",
                    },
                    raise_exc=True,
                )
        stored = cloud.image.get_image(image.id)
        if stored.hash_value != self._digest:
            raise SystemExit("Glance's multihash is not that of the image.")
        (name,) = set(os.listdir(self._flexvols["fv1"])) - before
        path = os.path.join(self._flexvols["fv1"], name)
        self._wait_for_log(image.id)
        self._finish(step, [path], [])
        step["path"] = "upload"
        return image.id, path

    def volumes(
        self,
        image_id: str,
        name: str,
        flexvol: str,
        count: int,
        source: list[Span],
    ) -> None:
        """Make *count* volumes at once on *flexvol*."""
        cloud = self._cloud
        size_gib = -(-os.path.getsize(self._image) // GIB)
        waiting: dict[str, str] = {}
        with self._measured(
            name,
            lambda: f"{list(waiting.values()).count('available')} of {count} available",
        ) as step:
            for number in range(count):
                made = cloud.block_storage.create_volume(
                    name=f"demo-{flexvol}-{number}",
                    size=size_gib,
                    image_id=image_id,
                    volume_type=f"ontap-{flexvol}",
                )
                waiting[made.id] = made.status
            self._wait(waiting)
        paths = [
            os.path.join(self._flexvols[flexvol], f"volume-{volume_id}")
            for volume_id in waiting
        ]
        self._finish(step, paths, source)
        # What Glance sent is the difference between a clone and a stream.
        step["path"] = "stream" if step["bytes_through_hosts"] else "clone"

    def explain(self, image_id: str, flexvol: str, when: str) -> None:
        """Ask how Cinder would make a volume on *flexvol*, and why so."""
        answer: dict[str, str] = {"when": when, "volume_type": f"ontap-{flexvol}"}
        with self._progress.doing(
            f"glance-ontap explain, {when}", lambda: answer.get("path", "")
        ):
            row = self._command.explain(image_id, answer["volume_type"])
            for name in ("path", "code", "certainty", "why"):
                answer[name] = row[name.capitalize()] or ""
        self.answers.append(answer)

    def replica(self, image_id: str, flexvol: str) -> str:
        """Have the array make a replica on *flexvol*; return the replica's file."""
        before = set(os.listdir(self._flexvols[flexvol]))
        self._lab.start(glance.LOCATIONS)
        with self._measured(f"A replica on {flexvol}", lambda: "") as step:
            self._command.replicate(image_id, NAME, flexvol)
        (name,) = set(os.listdir(self._flexvols[flexvol])) - before
        path = os.path.join(self._flexvols[flexvol], name)
        # Another FlexVol is another device: no block is shared with the original.
        self._finish(step, [path], [])
        step["path"] = "replica"
        return path

    def _wait(self, waiting: dict[str, str]) -> None:
        def are_available() -> bool:
            for volume in self._cloud.block_storage.volumes(details=True):
                if volume.id in waiting:
                    waiting[volume.id] = volume.status
            if any(status.startswith("error") for status in waiting.values()):
                raise SystemExit(f"Cinder could not make the volumes: {waiting}")
            return set(waiting.values()) == {"available"}

        wait_until(are_available, "the volumes are available", 600)

    @contextlib.contextmanager
    def _measured(
        self, name: str, state: Callable[[], str]
    ) -> Iterator[dict[str, Any]]:
        """Measure the time of a step; `_finish` adds the rest."""
        step: dict[str, Any] = {"name": name, "seconds": 0, "path": ""}
        self._sent_before = self._image_data_through_glance()
        began = time.monotonic()
        with self._progress.doing(name, state):
            yield step
        step["seconds"] = round(time.monotonic() - began, 3)

    def _finish(
        self,
        step: dict[str, Any],
        files: list[str],
        source: list[Span],
    ) -> None:
        """Add the step's figures from the file systems and Glance's log.

        The log is read last, because Glance writes a line after its answer.
        """
        compared = 0
        with self._progress.doing(
            "comparing contents", lambda: f"{compared} of {len(files)} files"
        ):
            used = [span for file in files for span in blocks.extents(file)]
            step["new_bytes_on_array"] = blocks.not_in(used, source)
            step["bytes_shared_with_image"] = (
                blocks.total(used) - step["new_bytes_on_array"]
            )
            step["content_ok"] = True
            for file in files:
                if blocks.first_difference(file, self._image) is not None:
                    step["content_ok"] = False
                compared += 1
        step["bytes_through_hosts"] = (
            self._image_data_through_glance() - self._sent_before
        )
        self.steps.append(step)

    def _wait_for_log(self, image_id: str) -> None:
        def is_logged() -> bool:
            return any(
                request["path"].endswith(f"/{image_id}/file")
                for request in self._glance_requests()
            )

        wait_until(is_logged, "Glance's request log shows the upload", 60)

    def _glance_requests(self) -> Iterator[dict[str, Any]]:
        with open(self._requests, encoding="utf-8") as log:
            for line in log:
                yield json.loads(line)

    def _image_data_through_glance(self) -> int:
        """Return the bytes of image data that Glance's API has sent and received."""
        return sum(
            request["request_bytes"] + request["response_bytes"]
            for request in self._glance_requests()
            if request["path"].endswith("/file")
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    add_arguments(parser)
    parsed = parser.parse_args()
    lab = Lab.from_facts()
    with tempfile.TemporaryDirectory(prefix="demo-") as directory:
        image = os.path.join(directory, "image.raw")
        with Progress().doing(
            f"Making an image of {parsed.size_gib} GiB, a quarter of it random data",
            lambda: "",
        ):
            digest = make_image(image, parsed.size_gib * GIB)
        command = Command(lab.facts, lab.facts["urls"][glance.LOCATIONS], directory)
        show = Show(lab, command, image, digest)
        show.run()
    print()
    print(screen.table(show.steps))
    print(screen.answers(show.answers))
    print(EXPLANATION)
    if parsed.json:
        with open(parsed.json, "w", encoding="utf-8") as file:
            found = {"steps": show.steps, "explained": show.answers}
            json.dump(found, file, indent=2)
            file.write("\n")
    if not all(step["content_ok"] for step in show.steps):
        sys.exit("A volume's content is not the image's.")


if __name__ == "__main__":
    main()
