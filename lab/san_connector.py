# SPDX-License-Identifier: Apache-2.0
"""The connector that Glance and Cinder have in a lab with block protocols.

It has the interface of os-brick's connectors, and asks ``san_devices.py`` for each
thing that they would do to the kernel.
"""

import json
import os
import socket
from typing import Any

from os_brick import exception
from os_brick.initiator.connectors import base

from lab.san import HOST_NAMES
from lab.san import SOCKET_VARIABLE

_TIMEOUT_S = 60


class LoopConnector(base.BaseLinuxConnector):  # type: ignore[misc]
    """Attaches volumes as loop devices on the files of their LUNs."""

    def __init__(
        self,
        root_helper: str,
        driver: Any = None,
        use_multipath: bool = False,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(root_helper, driver=driver)
        self.use_multipath = use_multipath

    @staticmethod
    def get_connector_properties(
        root_helper: str, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """Return what Cinder's driver learns of this host."""
        return dict(HOST_NAMES)

    def connect_volume(self, connection_properties: dict[str, Any]) -> dict[str, str]:
        """Return path and WWN of the device.

        :raises VolumeDeviceNotFound: the host does not see the volume
        """
        found = _ask("connect", connection_properties)
        return {"type": "block", "path": found["path"], "scsi_wwn": found["wwn"]}

    def disconnect_volume(
        self,
        connection_properties: dict[str, Any],
        device_info: dict[str, Any] | None,
        force: bool = False,
        ignore_errors: bool = False,
        **kwargs: Any,
    ) -> None:
        """Flush the device and remove it; nothing happens if it is not there."""
        _ask("disconnect", connection_properties)

    def extend_volume(self, connection_properties: dict[str, Any]) -> int:
        """Let the device have the size of its LUN; return the bytes."""
        return int(_ask("extend", connection_properties)["bytes"])

    def get_volume_paths(self, connection_properties: dict[str, Any]) -> list[str]:
        found = _ask("find", connection_properties)
        return [found["path"]] if found["path"] else []

    def get_search_path(self) -> str:
        return "/dev"

    def get_all_available_volumes(
        self, connection_properties: dict[str, Any] | None = None
    ) -> list[str]:
        return []


def _ask(do: str, properties: dict[str, Any]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT_S)
        connection.connect(os.environ[SOCKET_VARIABLE])
        request = {"do": do, "properties": properties}
        connection.sendall(json.dumps(request, default=str).encode() + b"\n")
        with connection.makefile() as answers:
            answer: dict[str, Any] = json.loads(answers.readline())
    if answer.get("missing"):
        raise exception.VolumeDeviceNotFound(device=answer["missing"])
    if "error" in answer:
        raise exception.BrickException(answer["error"])
    return answer
