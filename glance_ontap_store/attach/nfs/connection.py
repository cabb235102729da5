# SPDX-License-Identifier: Apache-2.0
"""What Cinder says about how to reach an attached volume, parsed once."""

from collections.abc import Mapping
import dataclasses
import shlex
from typing import Any

from glance_ontap_store import errors


@dataclasses.dataclass(frozen=True)
class NfsConnection:
    """A file on an NFS export.

    *export* is ``<LIF>:<junction path>``, *name* the file in it, *options* the
    value of mount's ``-o`` that the operator set in Cinder, or "".
    """

    export: str
    name: str
    options: str = ""


def parse(info: Mapping[str, Any]) -> NfsConnection:
    """Read an attachment's ``connection_info``.

    The format is that of cinder/volume/drivers/nfs.py, initialize_connection:
    ``driver_volume_type``, ``export``, ``name`` and perhaps ``options``, a
    string of mount arguments such as ``-o vers=4.1,lookupcache=pos``.

    :raises errors.Misconfigured: the volume's protocol is not supported
    :raises errors.Broken: Cinder says something that cannot be followed
    """
    protocol = info.get("driver_volume_type")
    if protocol != "nfs":
        raise errors.Misconfigured(
            f"Cinder offers the image-volume over {protocol!r}; this release of the"
            " store supports nfs. Set ontap_volume_type to a type of a NetApp NFS"
            " back end."
        )
    export, name = info.get("export"), info.get("name")
    if not _is_export(export) or not _is_file_name(name):
        raise errors.Broken(
            f"Cinder's connection information names export {export!r} and file"
            f" {name!r}, which cannot be mounted and opened."
        )
    return NfsConnection(str(export), str(name), _mount_options(info.get("options")))


def _is_export(export: Any) -> bool:
    # A leading dash would be an option to mount.
    return isinstance(export, str) and ":/" in export and not export.startswith("-")


def _is_file_name(name: Any) -> bool:
    return isinstance(name, str) and name not in ("", ".", "..") and "/" not in name


def _mount_options(text: str | None) -> str:
    bad = errors.Broken(
        f"Cinder's mount options {text!r} are not of the form '-o A,B': change"
        " nfs_mount_options or the shares file of cinder-volume."
    )
    try:
        words = shlex.split(text or "")
    except ValueError as error:  # a quote without its other half
        raise bad from error
    options = []
    while words:
        word = words.pop(0)
        if word == "-o" and words:
            options.append(words.pop(0))
        elif word.startswith("-o") and word != "-o":
            options.append(word[2:])
        else:
            raise bad
    return ",".join(options)
