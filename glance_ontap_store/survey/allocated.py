# SPDX-License-Identifier: Apache-2.0
"""Measures the space that the files of image-volumes occupy, over mounted exports."""

from collections.abc import Callable
from collections.abc import Iterable
import contextlib
import os
import stat

from glance_ontap_store import errors
from glance_ontap_store.survey import process_setup
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.inventory import Row


def occupied(
    rows: Iterable[Row],
    glance: GlanceConfig,
    say: Callable[[str], object],
) -> dict[str, int]:
    """Bytes by volume id, without the volumes whose size is unknown.

    *say* is told why. The unit of ``st_blocks`` is 512 bytes. Over NFS it is the
    server's ``space_used`` of the file: blocks that a file shares with its clones
    count for each of them.
    """
    by_export: dict[tuple[str, str], list[Row]] = {}
    bases = {
        store.id: store.settings.mount_point_base
        for store in glance.stores
        if store.settings
    }
    unplaced = 0
    for row in rows:
        if row.pool is None:
            unplaced += 1
        else:
            place = bases[row.store], row.pool.rpartition("#")[2]
            by_export.setdefault(place, []).append(row)
    if unplaced:
        say(
            f"The pools of {unplaced} volumes are unknown: give an administrator's"
            " credentials with --os-cloud."
        )
    found: dict[str, int] = {}
    for (base, export), group in by_export.items():
        try:
            with process_setup.mounted(glance, base, export) as directory:
                measured = dict(_measured(directory, group))
            found |= measured
            if len(measured) < len(group):
                missing = len(group) - len(measured)
                say(f"The files of {missing} volumes were not found on {export}.")
        except errors.StoreError as error:
            say(f"The files on {export} could not be measured: {error}")
    return found


def _measured(directory: str, rows: Iterable[Row]) -> Iterable[tuple[str, int]]:
    for row in rows:
        # A volume that is being created has no file yet. With another
        # volume_name_template the file is called differently.
        with contextlib.suppress(OSError):
            # A link could lead to a file of this host.
            status = os.lstat(os.path.join(directory, row.file))
            if stat.S_ISREG(status.st_mode):
                yield row.volume_id, status.st_blocks * 512
