# SPDX-License-Identifier: Apache-2.0
"""Measure the space that the files of image-volumes occupy, on mounted exports."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import contextlib
import os
import stat

from glance_ontap_store import errors
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey import process_setup
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.inventory import Row

# stat(2): the unit of st_blocks, in bytes.
_BLOCK = 512


def occupied(
    rows: Iterable[Row],
    glance: GlanceConfig,
    say: Callable[[str], object],
) -> dict[str, int]:
    """Return the bytes that each volume occupies, by the volume's id.

    A volume whose file cannot be measured is left out, and *say* gets the reason.
    Over NFS the bytes are the server's ``space_used`` of the file: blocks that a file
    shares with its clones count for each of them.
    """
    rows = list(rows)
    placed = [row for row in rows if row.pool is not None]
    if len(placed) < len(rows):
        say(
            f"The pools of {len(rows) - len(placed)} volumes are unknown: give an"
            " administrator's credentials with --os-cloud."
        )
    found: dict[str, int] = {}
    usable = {store.id: store.settings for store in glance.stores if store.settings}
    for (_base, export), group in _by_export(placed, usable).items():
        try:
            settings = usable[group[0].store]
            with process_setup.mounted(glance, settings, export) as directory:
                measured = dict(_measured(directory, group))
            found |= measured
            if len(measured) < len(group):
                missing = len(group) - len(measured)
                say(f"The files of {missing} volumes were not found on {export}.")
        except errors.StoreError as error:
            say(f"The files on {export} could not be measured: {error}")
    return found


def _by_export(
    rows: Iterable[Row], settings: Mapping[str, Settings]
) -> dict[tuple[str, str], list[Row]]:
    """Return the rows by their store's mount point base and their export."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        # <host>@<backend>#<LIF>:<junction path>
        export = (row.pool or "").rpartition("#")[2]
        base = settings[row.store].mount_point_base
        groups.setdefault((base, export), []).append(row)
    return groups


def _measured(directory: str, rows: Iterable[Row]) -> Iterable[tuple[str, int]]:
    for row in rows:
        # A volume that is being created has no file yet. With another
        # volume_name_template the file is called differently.
        with contextlib.suppress(OSError):
            # A link could lead to a file of this host.
            status = os.lstat(os.path.join(directory, row.file))
            if stat.S_ISREG(status.st_mode):
                yield row.volume_id, status.st_blocks * _BLOCK
