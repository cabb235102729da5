"""From Glance's stream to a device, durably: one thread, one pass.

The simple path. It is right for any input and under eventlet.
"""

from collections.abc import Callable

from glance_ontap_store import errors
from glance_ontap_store.transfer import device as device_
from glance_ontap_store.transfer import digests as digests_
from glance_ontap_store.transfer import source


def fill(
    reader: source.Reader,
    announced: int,
    digests: digests_.Digests,
    device: device_.Device,
    full_length: Callable[[int], int],
) -> None:
    """Write the whole stream to *device* and return when it is durable.

    *announced* is the size in bytes, 0 for unknown. *full_length* says how long
    the device has to be, in bytes, for an image of so many: the volume's size.

    :raises errors.WrongLength: fewer or more bytes came than announced
    :raises errors.NoSpace, errors.WriteDenied, errors.Broken: from the device
    """
    for data in source.chunks(reader, announced):
        offset = digests.size
        digests.update(data)
        with errors.writing(device.name):
            device.write_at(offset, data)
    length = full_length(digests.size)
    with errors.writing(device.name):
        if device.length() != length:
            device.set_length(length)
        device.sync()
