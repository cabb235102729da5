# SPDX-License-Identifier: Apache-2.0
"""Connect and disconnect this host by os-brick."""

from collections.abc import Iterable
import dataclasses
import os
from typing import Any
from typing import Protocol

from os_brick.initiator import connector as brick_connector
from os_brick.initiator import linuxscsi

from glance_ontap_store import errors
from glance_ontap_store.attach import privilege
from glance_ontap_store.attach.block.connection import BlockConnection

_HIDDEN = "***"


@dataclasses.dataclass(frozen=True)
class Found:
    """The device that os-brick made.

    *path* is ``/dev/...``; *wwn* its identity, None where os-brick does not tell.
    """

    path: str
    wwn: str | None = None


class Connector(Protocol):
    """Makes volumes devices of this host; see `BrickConnector`."""

    def connect(self, connection: BlockConnection) -> Found:
        """Connect the host to the volume; the device that it has then.

        :raises errors.Broken: it cannot be connected
        """

    def disconnect(
        self, connection: BlockConnection, found: Found | None = None
    ) -> None:
        """Flush and remove the device. Nothing happens if there is none.

        *found* is None if it is not known what `connect` returned.

        :raises errors.StillConnected: it may be there yet
        """

    def ask_again(self, disks: Iterable[str]) -> None:
        """Let the kernel ask the array again what these SCSI disks are (``sda``).

        :raises errors.Broken: it cannot ask
        """

    def extend(self, connection: BlockConnection) -> None:
        """Let the device have the length that the volume has by now.

        :raises errors.Broken: the kernel cannot ask for it
        """


class BrickConnector:
    """`Connector` by os-brick, as the user that Glance runs as.

    *use_multipath* as of ``ontap_use_multipath``.
    """

    def __init__(self, rootwrap_config: str, use_multipath: bool) -> None:
        self._root_helper = privilege.root_helper(rootwrap_config)
        self._use_multipath = use_multipath

    def connect(self, connection: BlockConnection) -> Found:
        """As `Connector.connect`."""
        try:
            found = self._brick(connection).connect_volume(_properties(connection))
            path = found["path"]
        except Exception as error:  # os-brick and privsep raise errors of any class
            raise errors.Broken(
                f"This host cannot connect to {connection.place}:"
                f" {_text(error, connection)}. Check the network to the array, and"
                " see glance-ontap check and the log of this host's kernel (dmesg)."
            ) from _cause(error, connection)
        return Found(os.fsdecode(path), found.get("scsi_wwn") or None)

    def disconnect(
        self, connection: BlockConnection, found: Found | None = None
    ) -> None:
        """As `Connector.disconnect`.

        If the kernel cannot flush the device, it is removed all the same: what had to
        be durable was synced before it was closed.
        """
        info = {"type": "block", "path": found.path} if found else None
        if found and found.wwn:
            info = {**(info or {}), "scsi_wwn": found.wwn}
        try:
            self._disconnect(connection, info, force=False)
        except Exception:
            try:
                self._disconnect(connection, info, force=True)
            except Exception as error:
                where = f" ({found.path})" if found else ""
                raise errors.StillConnected(
                    f"This host cannot be disconnected from {connection.place}{where}:"
                    f" {_text(error, connection)}. See the log of this host's kernel"
                    " (dmesg) and multipath -ll. If all paths to the array are lost,"
                    " no_path_retry in overrides of multipath.conf bounds the wait."
                ) from _cause(error, connection)

    def _disconnect(
        self, connection: BlockConnection, info: dict[str, Any] | None, force: bool
    ) -> None:
        self._brick(connection).disconnect_volume(
            _properties(connection), info, force=force, ignore_errors=False
        )

    def ask_again(self, disks: Iterable[str]) -> None:
        """As `Connector.ask_again`."""
        scsi = linuxscsi.LinuxSCSI(self._root_helper)
        for disk in disks:
            try:
                scsi.echo_scsi_command(f"/sys/block/{disk}/device/rescan", "1")
            except Exception as error:
                raise errors.Broken(
                    f"The kernel cannot ask again what {disk} is: {error}"
                ) from error

    def extend(self, connection: BlockConnection) -> None:
        """As `Connector.extend`."""
        try:
            self._brick(connection).extend_volume(_properties(connection))
        except Exception as error:
            raise errors.Broken(
                f"The device of {connection.place} cannot be scanned again:"
                f" {_text(error, connection)}. See the log of this host's kernel"
                " (dmesg)."
            ) from _cause(error, connection)

    def _brick(self, connection: BlockConnection) -> Any:
        return brick_connector.InitiatorConnector.factory(
            connection.protocol.upper(),
            self._root_helper,
            use_multipath=self._use_multipath,
        )


def _properties(connection: BlockConnection) -> dict[str, Any]:
    # os-brick changes what it gets.
    return dict(connection.properties)


def _text(error: BaseException, connection: BlockConnection) -> str:
    text = str(error) or type(error).__name__
    for secret in connection.secrets:
        text = text.replace(secret, _HIDDEN)
    return text


def _cause(error: BaseException, connection: BlockConnection) -> BaseException:
    """*error*, or its text alone if it, or what caused it, holds a password."""
    seen: BaseException | None = error
    while seen is not None:
        told = f"{seen} {seen!r} {vars(seen)}"
        if any(secret in told for secret in connection.secrets):
            return errors.Broken(f"{type(error).__name__}: {_text(error, connection)}")
        seen = seen.__cause__ or seen.__context__
    return error
