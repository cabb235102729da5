# SPDX-License-Identifier: Apache-2.0
"""The kernel's NFS server, with two exports on file systems of their own."""

from pathlib import Path
from typing import Any

from glance_ontap_store.tests.kernel.shell import Shell
from glance_ontap_store.units import GIB

# Those that the store uses.
VERSIONS = ("3", "4.1", "4.2")

# With one server thread for each writing thread of the client, and some more.
_START = "rpc.nfsd -G 10 -L 10 8; echo Y > /proc/fs/nfsd/v4_end_grace"
_RIGHTS = "no_root_squash,no_subtree_check,insecure,sync"
# What a server needs before it exports anything. The users exist where the packages are
# installed. The root of the exports is a tmpfs: an overlay cannot be exported.
PREPARE = """(
set -e
modprobe -a nfsd nfs nfsv3 nfsv4
mkdir -p /srv/ns
mount -t tmpfs -o size=1m ns /srv/ns
mkdir -p /var/lib/nfs
mount -t tmpfs state /var/lib/nfs
mkdir -p /var/lib/nfs/sm /var/lib/nfs/sm.bak /var/lib/nfs/rpc_pipefs
mkdir -p /var/lib/nfs/v4recovery /run/rpcbind
touch /var/lib/nfs/etab /var/lib/nfs/rmtab /var/lib/nfs/state
mount -t nfsd nfsd /proc/fs/nfsd
mount -t rpc_pipefs pipes /var/lib/nfs/rpc_pipefs
getent passwd _rpc || echo _rpc:x:998:65534::/run/rpcbind:/bin/false >> /etc/passwd
getent passwd statd || echo statd:x:997:65534::/var/lib/nfs:/bin/false >> /etc/passwd
chown statd /var/lib/nfs/sm /var/lib/nfs/sm.bak /var/lib/nfs/state
printf '[exports]\\nrootdir=/srv/ns\\n' > /etc/nfs.conf
rpcbind -w
rpc.statd --no-notify
)"""
_EXPORT = f"""(
set -e
mkdir /srv/ns/large /srv/ns/small
mkfs.xfs -K -q -f -m reflink=1 /dev/ubda
mount /dev/ubda /srv/ns/large
mkfs.xfs -K -q -f -m reflink=1 /dev/ubdb
mount /dev/ubdb /srv/ns/small
cat > /etc/exports <<END
/ *(ro,fsid=0,no_subtree_check,insecure)
/large *(rw,{_RIGHTS})
/small *(rw,{_RIGHTS})
END
exportfs -ra
rpc.mountd
{_START}
)"""


class NfsServer:
    """What an administrator does with the server; *shell* is a shell of its own."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        shell.run(PREPARE)
        shell.run(_EXPORT)

    def create(self, export: str, name: str, size_gib: int = 1) -> Path:
        """Make the file of a new volume, which is one hole."""
        path = self.path(export, name)
        with open(path, "xb") as file:
            file.truncate(size_gib * GIB)
        return path

    @staticmethod
    def path(export: str, name: str) -> Path:
        """Where the server has a file."""
        return Path("/srv/ns", export, name)

    @staticmethod
    def info(export: str, name: str, options: str) -> dict[str, Any]:
        """The ``connection_info`` of a volume, as Cinder's NFS drivers give it."""
        return {
            "driver_volume_type": "nfs",
            "export": f"127.0.0.1:/{export}",
            "name": name,
            "options": f"-o {options}",
        }

    def pause(self, seconds: float) -> None:
        """Stop the server now, and start it after so many seconds."""
        self._shell.run("rpc.nfsd 0")
        self._shell.start(f"sleep {seconds:g}; {_START}")

    def withdraw(self, export: str) -> None:
        """Export it no more: its files are stale."""
        self._shell.run(f"exportfs -u '*:/{export}' && exportfs -f")

    def protect(self, export: str) -> None:
        """Export it for reading only."""
        rights = f"ro,{_RIGHTS}"
        self._shell.run(f"exportfs -o {rights} '*:/{export}' && exportfs -f")

    def resumed(self) -> None:
        """Wait for the end of a pause."""
        self._shell.wait()

    def fill(self, export: str, size: int) -> None:
        """Let something else take *size* bytes of the export's file system."""
        self._shell.run(f"fallocate -l {size} /srv/ns/{export}/other; sync")

    def restore(self) -> None:
        """Wait for the end of a pause, and export all as at the beginning."""
        self.resumed()
        self._shell.run("exportfs -ra && exportfs -f && rm -f /srv/ns/*/*")
