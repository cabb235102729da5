# SPDX-License-Identifier: Apache-2.0
"""The lab as the world in which processes of a store are killed."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
from pathlib import Path
import time
from typing import Any
import uuid

from glance_store import location
import os_brick.privileged

from glance_ontap_store.attach import privilege
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.waiting import SystemClock
from glance_ontap_store.cli import main as command
from glance_ontap_store.location import StoreLocation
from glance_ontap_store.tests.crash import scenes
from glance_ontap_store.tests.crash.scenes import DATA
from glance_ontap_store.tests.crash.scenes import SCENES
from glance_ontap_store.tests.crash.scenes import Rig
from glance_ontap_store.tests.crash.scenes import Scene
from glance_ontap_store.tests.fakes.glance import Content
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.mortal import Line
from glance_ontap_store.tests.fakes.mortal import Run
from glance_ontap_store.tests.soak import left
from glance_ontap_store.tests.soak.left import Found
from lab import stores
from lab.client import Lab

STORE = "fv1"
# So long recovery may take: it leaves a reservation alone for some seconds.
RECOVERY_S = 90
_POLL_S = 0.5
_GROWTH_S = 4
# Another host, by the names that Cinder's drivers for LUNs and namespaces need too.
_ELSEWHERE = {
    "host": "elsewhere",
    "ip": "192.0.2.99",
    "multipath": False,
    "initiator": "iqn.2000-01.org.example:elsewhere",
    "wwpns": ["21000024ff999999"],
    "wwnns": ["20000024ff999999"],
    "nqn": "nqn.2014-08.org.nvmexpress:uuid:99999999-9999-4999-8999-999999999999",
}


class LabRig:
    """A store of this process, which its children use."""

    def __init__(self, lab: Lab, base: str) -> None:
        # The processes are root. Without helpers they start, and die, faster.
        stores.prepare_privileges(lab)
        privilege.context.set_client_mode(False)
        os_brick.privileged.default.set_client_mode(False)
        self.store: Any = stores.make_store(
            lab, STORE, mount_point_base=base, attach_wait=30, delete_wait=5
        )

    def location(self, uri: str) -> location.Location:
        """The location of a URL, as Glance hands it to the store."""
        return location.Location("cinder", StoreLocation, None, uri=uri, backend=STORE)


class Growing(OnePass):
    """A reader whose upload finds the volume's file longer than the volume.

    A real one does so by a GiB of data.
    """

    def __init__(self, flexvol: Path) -> None:
        super().__init__(DATA)
        self._flexvol = flexvol
        self._before = set(flexvol.glob("volume-*"))

    def read(self, size: int) -> bytes:
        """As `OnePass.read`."""
        for path in set(self._flexvol.glob("volume-*")) - self._before:
            with open(path, "r+b") as file:
                file.truncate(2 * 2**30)
        return super().read(size)


def _sweep(_stack: contextlib.ExitStack, world: "LabWorld") -> Scene:
    world.leave_remains()
    return Scene(lambda _rig: world.sweep())


class LabWorld:
    """`scenes.World` in the lab; two hosts are two bases of mounts."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.base = stores.new_base()
        self.rig = LabRig(lab, self.base)
        self._elsewhere = stores.cinder(STORE)
        # The attachments of the other host.
        self._foreign: set[str] = set()
        self._line = Line()
        self.before = left.found(lab)

    def run(self, operation: Callable[[Rig], Any], at: str | None = None) -> Run:
        """Do *operation* in a process of its own, killed before step *at*."""
        return self._line.run(lambda: operation(self.rig), at)

    def new_id(self) -> str:
        """The id of a new image."""
        return str(uuid.uuid4())

    def upload(self, data: Content = DATA) -> str:
        """An image; its URL."""
        image_id = self.new_id()
        return str(self.run(lambda rig: scenes.add(rig, image_id, data=data)).must())

    def clone(self, url: str) -> str:
        """A clone of an image-volume, as sealed as that one; its URL."""
        source = scenes.volume_of(url)
        metadata = dict(self._elsewhere.get(source).metadata)
        new = NewVolume("copy", 1, None, metadata, source_id=source)
        begun = self._elsewhere.create(new)
        made = waiting.settled(self._elsewhere, SystemClock(), begun, 0.2, 60)
        return f"cinder://{STORE}/{made.id}"

    def remove(self, url: str) -> None:
        """Delete an image."""
        self.run(lambda rig: scenes.delete(rig, url)).must()

    @contextlib.contextmanager
    def attach_elsewhere(self, volume_id: str, connects: bool = True) -> Iterator[None]:
        """Let another host read the volume until the block ends."""
        attachment_id = self._elsewhere.reserve(volume_id, "ro")
        if connects:
            self._elsewhere.connect(volume_id, attachment_id, _ELSEWHERE)
        self._elsewhere.complete(attachment_id)
        self._foreign.add(attachment_id)
        try:
            yield
        finally:
            self._elsewhere.detach(attachment_id)
            self._foreign.discard(attachment_id)

    def growing(self) -> OnePass:
        """A reader for which its volume has to grow.

        A LUN grows for an image that is longer, and not by itself.
        """
        if self.lab.protocol != "nfs":
            return OnePass(scenes.LONG)
        return Growing(self.lab.flexvol(STORE))

    def slow_growth(self) -> contextlib.AbstractContextManager[None]:
        """Let the array take some seconds to extend a LUN, until the block ends.

        The recovery begins while Cinder waits for it.
        """
        if self.lab.protocol == "nfs":
            return contextlib.nullcontext()  # the file is longer before
        return self.lab.fault(
            action="latency",
            latency_s=_GROWTH_S,
            path="/storage/(luns|namespaces)",
            method="PATCH",
            body="size",
        )

    def leave_remains(self) -> None:
        """Let a reader and a writer die that have a volume attached."""
        url = self.upload()
        attached = "PUT /attachments/ID 1"
        for operation in (
            lambda rig: scenes.read(rig, url),
            lambda rig: scenes.add(rig, self.new_id()),
        ):
            run = self.run(operation, at=attached)
            assert run.was_killed, run.steps

    def recover(self, rig: Rig) -> None:
        """Release what dead processes left, as a new process does by itself."""
        backend = rig.store.stores.get(STORE)
        backend.member.round(time.monotonic())
        backend.member.unmount()

    def sweep(self) -> None:
        """Run ``glance-ontap sweep`` in this process.

        Its bases are those of the lab's Glance, so what is here is another host's.
        """
        limits = ("--guard", "1s", "--older-than", "1s", "--max-orphans", "1000")
        code = command.main(["sweep", "--apply", *limits, "-f", "json"])
        assert code in (0, 1), f"sweep ended with {code}"

    def remains(self, kept: set[str]) -> dict[str, list[str]]:
        """What there is, except the volumes *kept*, by kind; {} if nothing."""
        now: Found = left.found(self.lab)
        volumes = [
            f"{volume_id} {metadata.get('ontap_state')}"
            for volume_id, metadata in now.volumes.items()
            if volume_id not in self.before.volumes and volume_id not in kept
        ]
        files = {f"volume-{volume_id}" for volume_id in [*now.volumes, *kept]}
        found = {
            "volumes": volumes,
            "attachments": sorted(
                now.attachments - self.before.attachments - self._foreign
            ),
            "files": sorted(now.files - self.before.files - files),
            "mounts": left.mounted_below(self.base),
            "devices": left.devices(self.lab),
        }
        return {kind: things for kind, things in found.items() if things}

    def waited(self, kept: set[str]) -> dict[str, list[str]]:
        """What remains when recovery had its time."""
        deadline = time.monotonic() + RECOVERY_S
        while (remains := self.remains(kept)) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return remains


# Over the fakes, the tests of the command do what they can.
LAB_SCENES: dict[str, Callable[[contextlib.ExitStack, LabWorld], Scene]] = {
    **SCENES,
    "sweep": _sweep,
}
