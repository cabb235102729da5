# SPDX-License-Identifier: Apache-2.0
"""Parse the connection information that Cinder gives for an NFS volume."""

from collections.abc import Mapping
import dataclasses
import shlex
from typing import Any

from glance_ontap_store import errors
from glance_ontap_store.attach.nfs import rules


@dataclasses.dataclass(frozen=True)
class NfsConnection:
    """A file on an NFS export.

    *export* is ``<LIF>:<junction path>`` and *name* the file in it. *options* is
    the value of mount's ``-o``, or "".
    """

    export: str
    name: str
    options: str = ""


def parse(info: Mapping[str, Any], own_options: str = "") -> NfsConnection:
    """Return the file that an attachment's ``connection_info`` describes.

    *own_options* are the store's mount options; they replace those in *info*.

    The format is that of cinder/volume/drivers/nfs.py, initialize_connection:
    ``driver_volume_type``, ``export``, ``name`` and perhaps ``options``, a
    string of mount arguments such as ``-o vers=4.1,lookupcache=pos``. The driver
    takes them from its shares file. It tells nobody ``nfs_mount_options``, which it
    uses for its own mounts alone.

    :raises errors.Broken: the export, the file name or an option is not accepted
    """
    return NfsConnection(
        rules.check_export(info.get("export")),
        rules.check_name(info.get("name")),
        own_options or _mount_options(info.get("options")),
    )


def _mount_options(text: object) -> str:
    """Return the values of all ``-o`` in *text*, joined by commas."""
    bad = errors.Broken(
        f"Cinder's mount options {text!r} are not of the form '-o A,B': change"
        " the shares file (nfs_shares_config) of cinder-volume."
    )
    if not isinstance(text, str | None):
        raise bad
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
    joined = ",".join(options)
    rules.mount_options(joined)
    return joined
