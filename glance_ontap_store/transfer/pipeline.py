"""From Glance's stream to a device, durably and in one pass."""

from glance_ontap_store.transfer import buffers
from glance_ontap_store.transfer import crew
from glance_ontap_store.transfer import digests as digests_
from glance_ontap_store.transfer import sink as sink_
from glance_ontap_store.transfer import source
from glance_ontap_store.transfer import threads


def run(
    reader: source.Reader,
    announced: int,
    digests: digests_.Digests,
    sink: sink_.Sink,
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
    reader: source.Reader,
    announced: int,
    digests: digests_.Digests,
    sink: sink_.Sink,
    block_size: int = buffers.BLOCK,
) -> None:
    """`run`, one thing after the other: the reference, right everywhere."""
    stream = source.Stream(reader, announced)
    buffer = buffers.Buffer(block_size)
    while buffer.fill(stream.read):
        digests.update(buffer.block)
        sink.write(buffer.block)
    sink.finish()


def fill_threaded(
    reader: source.Reader,
    announced: int,
    digests: digests_.Digests,
    sink: sink_.Sink,
    block_size: int = buffers.BLOCK,
) -> None:
    """`run`, with a thread for each digest and one that writes.

    The stream is read by the calling thread: Glance's reader may belong to it.
    hashlib and the kernel let other threads run meanwhile. A device that fails
    is noticed when the reader returns from a read.
    """
    stream = source.Stream(reader, announced)
    room = [buffers.Buffer(block_size) for _ in range(buffers.COUNT)]
    crew.Crew([*digests.parts, sink.write], room).pass_on(stream.read)
    sink.finish()
