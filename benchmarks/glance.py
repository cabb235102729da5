# SPDX-License-Identifier: Apache-2.0
"""Glance and Cinder as a user calls them, with a client that uses little CPU time."""

from collections.abc import Iterator
from collections.abc import Sequence
import http.client
from pathlib import Path
from urllib import parse

from benchmarks import together
from benchmarks.images import MIB
from benchmarks.images import Image
from benchmarks.images import Reader
from lab import polling
from lab.client import Lab

# Bytes of one chunk of an upload of unknown size, and of one read of a download.
PIECE = MIB
# The time until volumes are available is measured this precisely.
POLL_S = 0.05
TIMEOUT_S = 600
DELETE_TIMEOUT_S = 120
DELETE_VOLUMES_TIMEOUT_S = 300


class Refused(Exception):
    """A service refused a request, or a volume went into an error status."""


class Cloud:
    """A user's images and volumes in the lab."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._cloud = lab.cloud("alice")
        self._admin = lab.cloud("admin")
        self._address = parse.urlsplit(lab.facts["urls"]["glance"]).netloc

    def create(self) -> str:
        """Create an image without data and return its id."""
        image = self._cloud.image.create_image(
            name="benchmark",
            disk_format="raw",
            container_format="bare",
            allow_duplicates=True,
        )
        return str(image.id)

    def upload(
        self, image_id: str, image: Image, store: str, is_size_known: bool
    ) -> None:
        """Send the bytes; return when Glance has answered.

        :raises Refused: Glance did not accept them
        """
        headers = {
            "Content-Type": "application/octet-stream",
            "X-Image-Meta-Store": store,
        }
        if is_size_known:
            headers["Content-Length"] = str(image.size)
        connection = self._connection()
        try:
            connection.request(
                "PUT",
                f"/v2/images/{image_id}/file",
                body=Reader(image),
                headers=headers | self._token(),
                encode_chunked=not is_size_known,
            )
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status != 204:
            raise Refused(f"upload: {answer.status} {text[:200]!r}")

    def download(self, image_id: str) -> Iterator[memoryview]:
        """Yield each piece as it arrives. The next one is written over it.

        :raises Refused: Glance does not send the image
        """
        connection = self._connection()
        try:
            connection.request(
                "GET", f"/v2/images/{image_id}/file", headers=self._token()
            )
            answer = connection.getresponse()
            if answer.status != 200:
                raise Refused(f"download: {answer.status} {answer.read()[:200]!r}")
            room = bytearray(PIECE)
            while count := answer.readinto(room):
                yield memoryview(room)[:count]
        finally:
            connection.close()

    def multihash(self, image_id: str) -> str:
        """Return the multihash that Glance shows."""
        return str(self._cloud.image.get_image(image_id).hash_value)

    def path(self, image_id: str, store: str) -> Path:
        """Return the file with the image's bytes in *store*: for a LUN, the array's."""
        if store == "file":
            return Path(self._lab.facts["file_store"], image_id)
        (volume,) = self._admin.block_storage.volumes(
            all_projects=True, name=f"image-{image_id}"
        )
        flexvol = "iscsi1" if "iscsi" in store else "fv1"
        return Path(self._lab.flexvol(flexvol), f"volume-{volume.id}")

    def delete_image(self, image_id: str, path: Path | None) -> None:
        """Delete the image; return when *path*, the file with its bytes, is gone.

        :raises TimeoutError: the file is still there
        """
        self._cloud.image.delete_image(image_id, ignore_missing=True)
        if path is not None:
            polling.wait_until(
                lambda: not path.exists(), f"{path} is deleted", DELETE_TIMEOUT_S
            )

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(
            self._address, timeout=TIMEOUT_S, blocksize=PIECE
        )

    def _token(self) -> dict[str, str]:
        return {"X-Auth-Token": str(self._cloud.auth_token)}

    def create_volume(self, image_id: str, size_gib: int, flexvol: str) -> str:
        """Ask Cinder for a volume from the image and return the volume's id."""
        volume = self._cloud.block_storage.create_volume(
            name="benchmark",
            size=size_gib,
            image_id=image_id,
            volume_type=f"ontap-{flexvol}",
        )
        return str(volume.id)

    def create_volumes(
        self, image_id: str, size_gib: int, flexvols: Sequence[str]
    ) -> list[str]:
        """Ask Cinder for a volume on each of *flexvols*, all at the same time.

        Return their ids in that order. A FlexVol may be named more than once.

        :raises Refused: a request failed; the other volumes are deleted
        """
        made, errors = together.ask(
            lambda flexvol: self.create_volume(image_id, size_gib, flexvol), flexvols
        )
        if errors:
            self.delete_volumes(made)
            raise Refused(
                f"{len(errors)} of {len(flexvols)} requests failed; the first: "
                f"{errors[0]}"
            ) from errors[0]
        return made

    def data_bytes(self, image_id: str) -> int:
        """Return the bytes of the image that Glance's API has received and sent."""
        return sum(
            request["request_bytes"] + request["response_bytes"]
            for request in self._lab.glance_requests()
            if request["path"].endswith(f"/{image_id}/file")
        )

    def wait_available(
        self, volume_ids: list[str], timeout_s: float, poll_s: float = POLL_S
    ) -> None:
        """Return when all volumes are available.

        :raises Refused: a volume has another status than those on the way there
        :raises TimeoutError: a volume is not available in time
        """
        waiting = set(volume_ids)

        def are_available() -> bool:
            statuses = self._statuses()
            for volume_id in list(waiting):
                status = statuses.get(volume_id, "missing")
                if status == "available":
                    waiting.discard(volume_id)
                elif status not in ("creating", "downloading"):
                    raise Refused(f"volume {volume_id} is {status}")
            return not waiting

        polling.wait_until(
            are_available, "the volumes are available", timeout_s, poll_s
        )

    def delete_volumes(self, volume_ids: list[str]) -> None:
        """Delete the volumes; return when Cinder lists none of them.

        :raises TimeoutError: Cinder still lists one
        """
        for volume_id in volume_ids:
            self._cloud.block_storage.delete_volume(volume_id, ignore_missing=True)
        polling.wait_until(
            lambda: not set(volume_ids) & set(self._statuses()),
            "the volumes are deleted",
            DELETE_VOLUMES_TIMEOUT_S,
        )

    def _statuses(self) -> dict[str, str]:
        volumes = self._cloud.block_storage.volumes(details=True)
        return {volume.id: volume.status for volume in volumes}
