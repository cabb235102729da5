# SPDX-License-Identifier: Apache-2.0
"""How much of a file or a block device the kernel keeps in memory."""

import ctypes
import mmap
import os


def bytes_of(path: str) -> int:
    """Return the bytes of *path* that are in the page cache. Only root may ask."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(path, os.O_RDWR)
    try:
        size = os.lseek(fd, 0, os.SEEK_END)
        with mmap.mmap(fd, size) as mapped:
            start = ctypes.c_char.from_buffer(mapped)
            present = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
            address = ctypes.c_void_p(ctypes.addressof(start))
            failed = libc.mincore(address, ctypes.c_size_t(size), present)
            # Else the mapping cannot be closed.
            del start
            if failed:
                raise OSError(ctypes.get_errno(), f"mincore of {path}")
    finally:
        os.close(fd)
    return sum(each & 1 for each in present) * mmap.PAGESIZE
