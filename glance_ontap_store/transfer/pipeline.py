# SPDX-License-Identifier: Apache-2.0
"""From Glance's stream to a device, durably and in one pass."""

from glance_ontap_store.transfer import buffers
from glance_ontap_store.transfer import threads
from glance_ontap_store.transfer.buffers import Buffer
from glance_ontap_store.transfer.digests import Digests
from glance_ontap_store.transfer.fanout import Fanout
from glance_ontap_store.transfer.sink import Sink
from glance_ontap_store.transfer.source import BoundedReader
from glance_ontap_store.transfer.source import Reader


def run(
    reader: Reader,
    announced: int,
    digests: Digests,
    sink: Sink,
) -> None:
    """Bring the whole stream to *sink* and return when it is durable there.

    *announced* is the size in bytes, 0 for unknown. On threads where there are
    real ones, else in this one; both leave the same bytes and digests.

    :raises errors.WrongLength: fewer or more bytes came than announced
    :raises errors.NoSpace, errors.WriteDenied, errors.Broken: from the device
    """
    chosen = fill_threaded if threads.are_real() else fill
    chosen(reader, announced, digests, sink)


def fill(
    reader: Reader,
    announced: int,
    digests: Digests,
    sink: Sink,
    block_size: int = buffers.BLOCK,
) -> None:
    """`run`, one thing after the other: the reference, right everywhere."""
    stream = BoundedReader(reader, announced)
    buffer = Buffer(block_size)
    while buffer.fill(stream.read):
        digests.update(buffer.block)
        sink.write(buffer.block)
    sink.finish()


def fill_threaded(
    reader: Reader,
    announced: int,
    digests: Digests,
    sink: Sink,
    block_size: int = buffers.BLOCK,
) -> None:
    """`run`, with a thread for each digest and one that writes.

    The stream is read by the calling thread: Glance's reader may belong to it.
    hashlib and the kernel let other threads run meanwhile. A device that fails
    is noticed when the reader returns from a read.
    """
    stream = BoundedReader(reader, announced)
    room = [Buffer(block_size) for _ in range(buffers.COUNT)]
    Fanout([*digests.parts, sink.write], room).pass_on(stream.read)
    sink.finish()
