# SPDX-License-Identifier: Apache-2.0
"""Makes volumes of which nothing is left if their making fails, or their maker dies."""

from collections.abc import Iterator
import contextlib

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Creator
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.volumes import Volumes


@contextlib.contextmanager
def made(
    volumes: Volumes,
    new: NewVolume,
    write_id: str,
    creator: Creator | None = None,
    is_temporary: bool = False,
) -> Iterator[Volume]:
    """An available volume, which is deleted if the block fails.

    One that *is_temporary* is deleted in any case. If this process dies in the block,
    or Cinder does not delete the volume, recovery does, by the journal and by
    *write_id*, which the volume's metadata has.

    :raises errors.StoreError: see `Volumes.create`
    """
    handle = volumes.journal.creating(new.name, write_id)
    try:
        volume = volumes.create(new, creator)
    except BaseException as error:
        if isinstance(error, errors.StoreError) and not error.may_leave:
            handle.done()
        else:
            handle.leave()
        raise
    handle.complete(volume.id)

    def end(_cls: object, error: BaseException | None, _traceback: object) -> None:
        is_kept = error is None and not is_temporary
        if is_kept or volumes.discard(volume.id, error):
            handle.done()
        else:
            handle.leave()

    with contextlib.ExitStack() as stack:
        stack.push(end)
        yield volume
