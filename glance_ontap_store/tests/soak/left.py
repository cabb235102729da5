# SPDX-License-Identifier: Apache-2.0
"""What is left in Cinder, on the FlexVols and on the hosts."""

from collections.abc import Collection
from collections.abc import Sequence
import dataclasses
import functools
import json
import os
from pathlib import Path
import subprocess
import time
from typing import Any

from glance_ontap_store.tests.soak.hosts import Host
from lab.client import Lab
from lab.polling import wait_until

_POLL_S = 2


@dataclasses.dataclass(frozen=True)
class Found:
    """Everything in Cinder and on the FlexVols: volume id -> its metadata."""

    volumes: dict[str, dict[str, str]]
    attachments: frozenset[str]
    files: frozenset[str]


@functools.cache
def _admin() -> Any:
    """Cinder for an administrator: one connection, since Cinder has only 100."""
    return Lab.from_facts().cloud("admin").block_storage


def found(lab: Lab) -> Found:
    """All of it, as an administrator sees it."""
    storage = _admin()
    answer = storage.get("/attachments?all_tenants=1", microversion="3.54").json()
    return Found(
        {
            volume.id: dict(volume.metadata)
            for volume in storage.volumes(all_projects=True)
        },
        frozenset(attachment["id"] for attachment in answer["attachments"]),
        frozenset(
            path.name
            for flexvol in lab.facts["flexvols"]
            for path in lab.flexvol(flexvol).glob("volume-*")
        ),
    )


def devices(lab: Lab) -> list[str]:
    """The devices of LUNs and namespaces, in a lab that has them: where, and what."""
    return [f"{where}: {found['name']}" for where, found in lab.devices().items()]


def mounted_below(base: str) -> list[str]:
    """The mount points below *base*, as this process sees them."""
    text = Path("/proc/self/mountinfo").read_text("utf-8")
    points = [line.split()[4] for line in text.splitlines()]
    return [point for point in points if point.startswith(f"{base}/")]


def _rest(
    lab: Lab, hosts: Sequence[Host], before: Found, kept: Collection[str]
) -> dict[str, list[str]]:
    """What is there and was not *before*, by kind; *kept*: states of volumes."""
    now = found(lab)
    volumes = {
        volume_id: metadata.get("ontap_state", "?")
        for volume_id, metadata in now.volumes.items()
        if volume_id not in before.volumes and metadata.get("ontap_state") not in kept
    }
    known = {f"volume-{volume_id}" for volume_id in now.volumes}
    rest = {
        "volumes": [f"{key} {state}" for key, state in volumes.items()],
        "attachments": sorted(now.attachments - before.attachments),
        "files": sorted(now.files - before.files - known),
        "mounts": [f"{host.name}:{m}" for host in hosts for m in host.mounts()],
        # The hosts share a kernel, and so these.
        "devices": devices(lab),
    }
    return {kind: things for kind, things in rest.items() if things}


def after_recovery(
    lab: Lab, hosts: Sequence[Host], before: Found, timeout_s: float
) -> dict[str, list[str]]:
    """What is left when recovery has taken away what it could, in *timeout_s*.

    Sealed volumes are for `swept`.
    """
    return _in_time(lab, hosts, before, timeout_s, {"sealed"})


def after_deletion(
    lab: Lab, hosts: Sequence[Host], before: Found, timeout_s: float
) -> dict[str, list[str]]:
    """What is left *timeout_s* after the last image was deleted: nothing may be."""
    return _in_time(lab, hosts, before, timeout_s, ())


def _in_time(
    lab: Lab,
    hosts: Sequence[Host],
    before: Found,
    timeout_s: float,
    kept: Collection[str],
) -> dict[str, list[str]]:
    deadline = time.monotonic() + timeout_s
    while rest := _rest(lab, hosts, before, kept):
        if time.monotonic() > deadline:
            return rest
        time.sleep(_POLL_S)
    return {}


@dataclasses.dataclass(frozen=True)
class Orphans:
    """Image-volumes without an image: before the sweep, and after it."""

    before: list[str]
    after: list[str]
    # What a second sweep finds.
    again: list[str]


def swept(lab: Lab, before: Found, images: Collection[str]) -> Orphans:
    """Sweep what is sealed and is no image's, and see what is left.

    A process that dies between the seal and its answer leaves such a volume. *images*:
    the volumes of images that Glance knows.
    """
    known = before.volumes.keys() | set(images)

    def left_over() -> list[str]:
        return [key for key in found(lab).volumes if key not in known]

    wait_until(_settled, "deletions are done", 120)
    orphans = left_over()
    now = ("--guard", "1s", "--older-than", "1s", "--max-orphans", "1000")
    run_command("sweep", "--apply", *now)
    wait_until(_settled, "deletions are done", 120)
    again = run_command("sweep", *now)
    return Orphans(orphans, left_over(), [str(row) for row in again if _is_new(row)])


def _is_new(row: object) -> bool:
    """Return whether a row of the command is about the volumes that exist.

    What is left of other tests, such as lock files of processes of Glance, is theirs.
    """
    theirs = ("mount", "lock files", "cache volume", "cache file")
    return not isinstance(row, dict) or row.get("Kind") not in theirs


def _settled() -> bool:
    storage = _admin()
    return not any(
        volume.status == "deleting" for volume in storage.volumes(all_projects=True)
    )


def run_command(*arguments: str, codes: Collection[int] = (0, 1)) -> list[Any]:
    """The rows that a command of ``glance-ontap`` prints.

    An exit code that is none of *codes* is one more row.
    """
    # The operator's programs, such as the sudo that starts the privileged helper.
    tools = os.path.join(Lab.from_facts().facts["root"], "bin")
    done = subprocess.run(
        ["glance-ontap", *arguments, "-f", "json"],
        capture_output=True,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        text=True,
    )
    try:
        rows: list[Any] = json.loads(done.stdout or "[]")
    except json.JSONDecodeError:
        rows = [done.stdout + done.stderr]
    if done.returncode not in codes:
        rows.append(f"exit code {done.returncode}: {done.stderr}")
    return rows
