# SPDX-License-Identifier: Apache-2.0
"""Tell the maker of a block device, for the helper that runs as root."""

import os
import re

_NAME = re.compile(r"/dev/((?:sd|dm-|nvme)[0-9a-z]+)")


def is_netapp(path: str, root: str = "/sys") -> bool:
    """Return whether the kernel says that NetApp made the device at *path*.

    Of a multipath device all paths must be NetApp's. *path* has no symbolic links.
    """
    found = _NAME.fullmatch(path)
    return found is not None and _is_netapp(os.path.join(root, "class/block", found[1]))


def _is_netapp(directory: str) -> bool:
    try:
        paths = os.listdir(os.path.join(directory, "slaves"))
    except OSError:
        paths = []
    if paths:
        parent = os.path.dirname(directory)
        return all(_is_netapp(os.path.join(parent, name)) for name in paths)
    vendor = _text(directory, "device", "vendor")
    model = _text(directory, "device", "model")
    return vendor == "NETAPP" or model.startswith("NetApp ONTAP")


def _text(*parts: str) -> str:
    try:
        with open(os.path.join(*parts), encoding="ascii") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError):
        return ""
