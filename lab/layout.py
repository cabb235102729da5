# SPDX-License-Identifier: Apache-2.0
"""The directories, ports and passwords of a lab, decided once."""

import contextlib
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
import random
import secrets
import socket
import sys

from lab import san
from lab.svms import CLUSTER_ADDRESS
from lab.svms import FIRST
from lab.svms import SECOND
from lab.svms import SECOND_STORES
from lab.svms import Svm

HOST = CLUSTER_ADDRESS
REGION = "RegionOne"
# ``own`` keeps images in the uploading user's project, on fv2.
STORES = ("fv1", "fv2", "fv3", "own", "peer", "file")
# In a lab with two SVMs.
STORES_OF_TWO = ("fv1", "fv2", "own", *SECOND_STORES)
# Keystone user -> (project, roles)
USERS = {
    "glance": ("service", ("service",)),
    "cinder": ("service", ("service",)),
    **{
        f"image-{store}": ("service", ("member", "service"))
        for store in ("fv1", "fv2", "fv3", "peer")
    },
    # ``admin`` for the volumes of all projects; ``service`` so that the store's
    # token vouches for users' tokens.
    "image-own": ("service", ("admin", "service")),
    "alice": ("acme", ("member",)),
    "bob": ("globex", ("member",)),
}
USERS_OF_SECOND = {
    f"image-{store}": ("service", ("member", "service")) for store in SECOND_STORES
}
USERS_OF_SAN = {
    f"image-{store}": ("service", ("member", "service")) for store in san.STORES
}
PORTS = (
    "keystone", "glance", "glance-second", "glance-internal", "glance-standalone",
    "glance-ours", "glance-locations",
    "cinder", "ontap", "amqp", "epmd", "erlang",
)  # fmt: skip

# The services import this package from the checkout: no wheel has it.
CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Layout:
    """The places of one lab. All of it lies below ``root``, an absolute path.

    ``scratch`` is a directory below ``/tmp`` (inside ``root`` where that lies
    there too): the shipped privsep filters accept sockets only there.
    """

    root: Path
    scratch: Path
    broker: bool
    stores: tuple[str, ...]
    ports: dict[str, int]
    passwords: dict[str, str] = field(repr=False)
    # Glance and Cinder run as ordinary users: secure_nfs.py.
    secure_nfs: bool = False
    svms: tuple[Svm, ...] = (FIRST,)
    # Back ends for block protocols beside NFS: san.py.
    san: bool = False
    # That of the usual back end.
    protocol: str = "nfs"
    # Real mounts of the FlexVols: kernel_nfs.py.
    kernel_nfs: bool = False

    @property
    def has_devices(self) -> bool:
        """Return whether hosts reach volumes as block devices, all or some."""
        return self.san or self.protocol != "nfs"

    @property
    def users(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Keystone's users: project and roles by name."""
        second = {} if len(self.svms) == 1 else USERS_OF_SECOND
        return {**USERS, **second, **(USERS_OF_SAN if self.san else {})}

    @property
    def flavour(self) -> str:
        return "stock" if self.broker else "embedded"

    @property
    def configs(self) -> Path:
        return self.root / "configs"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def clouds(self) -> Path:
        return self.root / "clouds.yaml"

    @property
    def facts(self) -> Path:
        return self.root / "facts.json"

    @property
    def control(self) -> Path:
        return self.scratch / "control.sock"

    @property
    def san_socket(self) -> Path:
        """Return the socket of ``san_devices.py``."""
        return self.scratch / "san.sock"

    def log(self, service: str) -> Path:
        return self.logs / f"{service}.log"

    def requests(self, service: str) -> Path:
        """Return the request log, JSON lines, of ``cinder``, ``glance``, ``ontap``."""
        return self.logs / f"{service}-requests.jsonl"

    def url(self, service: str) -> str:
        suffix = {"keystone": "/v3", "cinder": "/v3"}.get(service, "")
        return f"http://{HOST}:{self.ports[service]}{suffix}"

    def make_directories(self) -> None:
        for directory in (self.configs, self.logs, self.data, self.bin):
            directory.mkdir(parents=True, exist_ok=True)
        self.scratch.mkdir(parents=True, exist_ok=True)


def plan(
    root: Path,
    scratch: Path,
    broker: bool,
    stores: tuple[str, ...],
    secure_nfs: bool = False,
    with_second_svm: bool = False,
    with_san: bool = False,
    protocol: str = "nfs",
    with_kernel_nfs: bool = False,
) -> Layout:
    """Return the layout of a new lab, with free ports and fresh passwords."""
    names = ("admin", "ontap", "ontap-viewer", "rabbit", *USERS, *USERS_OF_SECOND)
    names = (*names, *USERS_OF_SAN)
    return Layout(
        root=root,
        scratch=scratch,
        broker=broker,
        stores=stores,
        ports=dict(zip(PORTS, free_ports(len(PORTS)), strict=True)),
        passwords={name: secrets.token_hex(16) for name in names},
        secure_nfs=secure_nfs,
        svms=(FIRST, SECOND) if with_second_svm else (FIRST.by(protocol),),
        san=with_san,
        protocol=protocol,
        kernel_nfs=with_kernel_nfs,
    )


def free_ports(count: int) -> list[int]:
    """Return free ports below the range that outgoing connections take theirs from.

    A port in that range could be taken by a connection before the service starts.
    """
    low, high = 20000, 32000
    with contextlib.suppress(OSError, ValueError):
        ephemeral = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
        high = max(low + 1000, min(high, int(ephemeral.split()[0])))
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for port in random.sample(range(low, high), high - low):
            candidate = held.enter_context(socket.socket())
            try:
                candidate.bind((HOST, port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise RuntimeError(f"no {count} free ports between {low} and {high}")


def environment_bin() -> Path:
    """Return the directory of this Python environment's programs.

    It is not resolved, because python3 of a virtual environment is a link.
    """
    return Path(sys.executable).parent
