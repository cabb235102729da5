# SPDX-License-Identifier: Apache-2.0
"""Write an image to a device, thin and durable."""

from collections.abc import Iterator

from glance_ontap_store import errors
from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry import recording
from glance_ontap_store.transfer import zeros
from glance_ontap_store.transfer.device import Device

# Zeros are left out in units of this size: a block of WAFL, and a page of the host.
PAGE = 4096
# Long runs of zeros are searched in steps of this size, a multiple of PAGE.
_STRIDE = 64 * 1024
# After every 16 MiB the kernel is told to start writing to the array, and after every
# 128 MiB the upload waits until the array has them. Otherwise dirty pages would fill
# a share of the host's memory, and the sync at the end would take as long as the
# upload.
_SEND_AFTER = 16 * 1024 * 1024
_SYNC_AFTER = 128 * 1024 * 1024


class Sink:
    """Writes an image from its first byte to its last, then makes it durable.

    With *thin*, pages of zeros are not written if the device says at the start that
    it is blank: bytes that are not written read as zeros there. On any other device
    every byte is written, and the bytes after the image's end are cleared. The device
    is asked, because a back end may pre-fill new volumes.

    Use it from one thread at a time.

    :raises errors.NoSpace, errors.WriteDenied, errors.Broken: any call may raise
        these if the device fails
    """

    def __init__(self, device: Device, thin: bool) -> None:
        self._device = device
        with errors.writing(device.name, device.remedies):
            self._is_blank = device.is_blank()
            self._length = device.length()
        self._thin = thin and self._is_blank
        self._position = 0
        # The offsets up to which bytes were sent and synced, and the number of
        # bytes written after them.
        self._sent = self._synced = 0
        self._unsent = self._unsynced = 0
        # Another thread may write.
        self._operation = recording.current()

    def write(self, data: bytes | memoryview) -> None:
        """Write the image's next bytes; *data* is not kept."""
        view = memoryview(data)
        runs = data_runs(view) if self._thin else iter([(0, len(view))])
        with errors.writing(self._device.name, self._device.remedies):
            self._make_room(self._position + len(view))
            skipped = len(view)
            for start, end in runs:
                self._device.write_at(self._position + start, view[start:end])
                self._unsent += end - start
                self._unsynced += end - start
                skipped -= end - start
            self._position += len(view)
            self._write_behind()
        self._operation.record(catalogue.RECEIVED_BYTES, value=len(view))
        self._operation.record(catalogue.ZERO_BYTES, value=skipped)

    def _make_room(self, size: int) -> None:
        """Let the device grow before it is written past its end.

        A block device could not be written there. A file could, but some file
        systems (XFS) allocate ahead for a file that grows by being written, and
        that space would stay allocated.
        """
        if size > self._length:
            self._device.ensure(size)
            self._length = self._device.length()

    def _write_behind(self) -> None:
        if self._unsynced >= _SYNC_AFTER:
            self._device.sync()
            self._device.forget(self._synced, self._position - self._synced)
            self._sent = self._synced = self._position
            self._unsent = self._unsynced = 0
        elif self._unsent >= _SEND_AFTER:
            self._device.forget(self._sent, self._position - self._sent)
            self._sent = self._position
            self._unsent = 0

    def finish(self) -> None:
        """Give the device its full length, and return when all bytes are durable."""
        with errors.writing(self._device.name, self._device.remedies):
            if not self._is_blank:
                self._device.clear_from(self._position)
            self._device.ensure(self._position)
            self._device.sync()
            self._device.forget(0, self._device.length())


def data_runs(view: memoryview) -> Iterator[tuple[int, int]]:
    """Yield start and end of each run of pages that are not all zeros."""
    begun: int | None = None
    for at, is_zeros in _pieces(view):
        if not is_zeros and begun is None:
            begun = at
        elif is_zeros and begun is not None:
            yield begun, at
            begun = None
    if begun is not None:
        yield begun, len(view)


def _pieces(view: memoryview) -> Iterator[tuple[int, bool]]:
    """Yield the offset of each page, and whether it is all zeros.

    A stride of zeros is one piece, and so is the whole view.
    """
    if zeros.are_all(view):
        yield 0, True
        return
    for stride in range(0, len(view), _STRIDE):
        end = min(stride + _STRIDE, len(view))
        if zeros.are_all(view[stride:end]):
            yield stride, True
            continue
        for at in range(stride, end, PAGE):
            # The first byte is asked alone, because it is mostly not zero in data.
            yield at, not view[at] and zeros.are_all(view[at : at + PAGE])
