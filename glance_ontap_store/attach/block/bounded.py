# SPDX-License-Identifier: Apache-2.0
"""Give each call of os-brick an end, whatever the paths to the array do.

If all paths are lost, or the LUN is offline, the kernel may hold a command of os-brick
for as long as multipath queues. What hangs then may still connect, or still flush. So
the attachment stays, and nothing else is asked about the volume, until it has ended;
recovery disconnects the host after that.
"""

from collections.abc import Iterable

from glance_ontap_store import errors
from glance_ontap_store.attach.answering import Answering
from glance_ontap_store.attach.block.brick import Connector
from glance_ontap_store.attach.block.brick import Found
from glance_ontap_store.attach.block.connection import BlockConnection

# Seconds. A login waits up to 120 s, and a flush for five times no_path_retry; on a
# host with many transfers most of it is the wait for os-brick's lock.
PATIENCE_S = 300.0
# os-brick connects one volume of a host at a time, so that all wait behind one.
_MOST = 16
_REMEDY = (
    "Are all paths to the array lost, or is the LUN offline? See multipath -ll and the"
    " log of this host's kernel (dmesg). A number for no_path_retry in overrides of"
    " multipath.conf ends such waits. Other volumes wait meanwhile, because os-brick"
    " connects one at a time."
)


def answering(patience_s: float = PATIENCE_S) -> Answering:
    """Return what knows the calls of a process that have not ended."""
    return Answering(_REMEDY, patience_s, _MOST)


# One for all stores of the process: whichever asks, nothing is disconnected that is
# being connected.
_ANSWERING = answering()


class BoundedConnector:
    """`Connector` that waits for *connector* no longer than *answering* permits."""

    def __init__(self, connector: Connector, answering: Answering = _ANSWERING) -> None:
        self._connector = connector
        self._answering = answering

    def connect(self, connection: BlockConnection) -> Found:
        """As `Connector.connect`.

        :raises errors.Broken: it did not end in time, either, and may still connect
        """
        return self._answering.ask(
            connection.place, lambda: self._connector.connect(connection)
        )

    def disconnect(
        self, connection: BlockConnection, found: Found | None = None
    ) -> None:
        """As `Connector.disconnect`.

        :raises errors.StillConnected: it, or an earlier call, has not ended
        """
        self._answering.ask(
            connection.place,
            lambda: self._connector.disconnect(connection, found),
            silence=errors.StillConnected,
        )

    def ask_again(self, disks: Iterable[str]) -> None:
        """As `Connector.ask_again`.

        :raises errors.Broken: the kernel did not ask in time, either
        """
        names = tuple(disks)
        if names:
            self._answering.ask(
                f"The device {', '.join(names)}",
                lambda: self._connector.ask_again(names),
            )

    def extend(self, connection: BlockConnection) -> None:
        """As `Connector.extend`.

        :raises errors.Broken: it did not end in time, either
        """
        self._answering.ask(
            connection.place, lambda: self._connector.extend(connection)
        )
