# SPDX-License-Identifier: Apache-2.0
"""An upload's bytes from Glance's stream to a device, in one pass."""

import dataclasses

from glance_ontap_store.telemetry import recording
from glance_ontap_store.transfer import buffers
from glance_ontap_store.transfer import content
from glance_ontap_store.transfer import threads
from glance_ontap_store.transfer.digests import Digests
from glance_ontap_store.transfer.fanout import Fanout
from glance_ontap_store.transfer.memory import PROCESS
from glance_ontap_store.transfer.memory import Memory
from glance_ontap_store.transfer.sink import Sink
from glance_ontap_store.transfer.source import BoundedReader
from glance_ontap_store.transfer.source import Reader


@dataclasses.dataclass(frozen=True)
class Written:
    """An image that is durable on a device: bytes, and digests in hex.

    *content* is the format that it begins with, see `content.detect`; None where the
    bytes were not seen.
    """

    size: int
    checksum: str
    multihash: str
    content: str | None = None


def run(
    reader: Reader,
    announced: int,
    digests: Digests,
    sink: Sink,
) -> Written:
    """Write the whole stream to *sink*; return when the device has it durably.

    *announced* is the image's size in bytes, 0 if Glance does not know it.
    *digests* have to be new. It begins when there is room in the memory of all
    transfers (`memory.PROCESS`), which it may have to wait for. Where threads are green
    this runs in the calling thread alone, with the same bytes and digests.

    :raises errors.WrongLength: fewer or more bytes came than announced
    :raises errors.NoSpace, errors.WriteDenied, errors.Broken: the device failed
    """
    write = fill_threaded if threads.are_real() else fill
    return write(reader, announced, digests, sink)


def fill(
    reader: Reader,
    announced: int,
    digests: Digests,
    sink: Sink,
    block_size: int = buffers.BLOCK,
    memory: Memory = PROCESS,
) -> Written:
    """Do the same as `run`, one step after the other in the calling thread."""
    stream = BoundedReader(reader, announced)
    with memory.room(block_size, 1, 1) as room, recording.step("transfer"):
        buffer = room.take()
        while buffer.fill(stream.read):
            digests.update(buffer.block)
            sink.write(buffer.block)
    return _finish(stream, digests, sink)


def fill_threaded(
    reader: Reader,
    announced: int,
    digests: Digests,
    sink: Sink,
    block_size: int = buffers.BLOCK,
    memory: Memory = PROCESS,
) -> Written:
    """Do the same as `run`, with a thread for each digest and one that writes.

    The calling thread reads the stream, because Glance's reader may hold state of
    that thread. hashlib and the kernel let other threads run meanwhile. If the
    device fails, the upload fails when the reader returns from its current read.
    """
    stream = BoundedReader(reader, announced)
    least = min(buffers.LEAST, buffers.COUNT)
    with (
        memory.room(block_size, least, buffers.COUNT) as room,
        recording.step("transfer"),
    ):
        Fanout([*digests.consumers, sink.write], room).run(stream.read)
    return _finish(stream, digests, sink)


def _finish(stream: BoundedReader, digests: Digests, sink: Sink) -> Written:
    with recording.step("sync"):
        sink.finish()
    return Written(
        size=stream.count,
        checksum=digests.checksum(),
        multihash=digests.multihash(),
        content=content.detect(stream.head),
    )
