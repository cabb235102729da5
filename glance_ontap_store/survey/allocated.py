# SPDX-License-Identifier: Apache-2.0
"""What the files of image-volumes occupy, as seen over the mounted exports."""

from collections.abc import Callable
from collections.abc import Iterable
import contextlib
import os

from glance_ontap_store import errors
from glance_ontap_store.survey import process_setup
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.inventory import Row


def occupied(
    rows: Iterable[Row],
    glance: GlanceConfig,
    say: Callable[[str], object],
) -> dict[str, int]:
    """Bytes by volume id; who is missing is not known, and *say* tells why.

    The unit of ``st_blocks`` is 512 bytes. Over NFS it is the server's
    ``space_used`` of the file: blocks that it shares with clones count in each.
    """
    by_export: dict[tuple[str, str], list[Row]] = {}
    bases = {
        each.id: each.settings.mount_point_base
        for each in glance.stores
        if each.settings
    }
    unplaced = 0
    for row in rows:
        if row.pool is None:
            unplaced += 1
        else:
            place = bases[row.store], row.pool.rpartition("#")[2]
            by_export.setdefault(place, []).append(row)
    if unplaced:
        say(f"The pools of {unplaced} volumes are not known: give --os-cloud.")
    found: dict[str, int] = {}
    for (base, export), group in by_export.items():
        try:
            with process_setup.mounted(glance, base, export) as directory:
                found |= dict(_measured(directory, group))
        except errors.StoreError as error:
            say(f"What lies on {export} is not known: {error}")
    return found


def _measured(directory: str, rows: Iterable[Row]) -> Iterable[tuple[str, int]]:
    for row in rows:
        # A volume that is being made has no file yet; volume_name_template may
        # be another.
        with contextlib.suppress(OSError):
            yield (
                row.volume_id,
                os.stat(os.path.join(directory, row.file)).st_blocks * 512,
            )
