# SPDX-License-Identifier: Apache-2.0
"""A LUN that fails as those of ONTAP do, for the kernel's iSCSI target (TCMU).

The target's own back ends report a full file system as a broken path, and have no LUN
that is offline. ONTAP says that there is no space (sense 07/27/07), or that the LUN is
not ready (02/04/03), and so does this program: it answers the commands that the target
got for the LUN, and has its bytes in a file, whose file system is the FlexVol.
Arguments: the device of the kernel's user interface, the file, its name.
"""

import hashlib
import mmap
import os
from pathlib import Path
import struct
import sys

SECTOR = 512
# The mailbox of <linux/target_core_user.h>: offset of the ring, its size, head; tail.
_RING = struct.Struct("<4x3I")
_TAIL_AT = 64
_TAIL = struct.Struct("<I")
# An entry: its length and kind; number of buffers and place of the command; buffers.
_KIND = 7
_COMMAND = 1
_HEADER = struct.Struct("<I")
_BUFFERS = struct.Struct("<8xI12xQ")
_FIRST_BUFFER = 48
_BUFFER = struct.Struct("<QQ")
_ANSWER_AT = 8
_ANSWER = struct.Struct("<B7x18s")

_GOOD, _CHECK_CONDITION = 0, 2
# Sense: key, code, qualifier.
UNKNOWN = (0x05, 0x20, 0x00)
NO_SPACE = (0x07, 0x27, 0x07)
OFFLINE = (0x02, 0x04, 0x03)
BROKEN = (0x03, 0x0C, 0x00)


class Failed(Exception):
    """The command fails with this sense."""


def sign(name: str) -> Path:
    """Return the file that is there while the LUN is offline."""
    return Path("/run", f"{name}.offline")


class Lun:
    """The commands of a disk of *size* bytes, over the descriptor of its file."""

    def __init__(self, fd: int, name: str, size: int) -> None:
        self._fd = fd
        self._size = size
        self._sign = sign(name)
        self._identity = hashlib.sha256(name.encode()).hexdigest()[:25]

    def answer(self, command: bytes, buffers: list[memoryview]) -> None:
        """Carry *command* out.

        :raises Failed: the host is told
        """
        # It can be asked what it is, all the same.
        if command[0] != 0x12 and self._sign.exists():
            raise Failed(OFFLINE)
        match command[0]:
            case 0x00 | 0x1B | 0x35 | 0x91:  # ready, start, synchronize
                return
            case 0x28 | 0x88:
                os.preadv(self._fd, buffers, _place(command))
            case 0x2A | 0x8A:
                self._write(command, buffers)
            case 0x12:
                _fill(buffers, self._inquiry(command))
            case 0x25:
                last = min(self._size // SECTOR - 1, 2**32 - 1)
                _fill(buffers, struct.pack(">II", last, SECTOR))
            case 0x9E if command[1] & 0x1F == 0x10:
                last = self._size // SECTOR - 1
                _fill(buffers, struct.pack(">QI20x", last, SECTOR))
            case 0x1A:
                _fill(buffers, bytes([3, 0, 0, 0]))
            case 0x5A:
                _fill(buffers, bytes([0, 6, 0, 0, 0, 0, 0, 0]))
            case _:
                raise Failed(UNKNOWN)

    def _write(self, command: bytes, buffers: list[memoryview]) -> None:
        wanted = sum(map(len, buffers))
        try:
            done = os.pwritev(self._fd, buffers, _place(command))
        except OSError as error:
            raise Failed(NO_SPACE) from error
        if done < wanted:
            raise Failed(NO_SPACE)

    def _inquiry(self, command: bytes) -> bytes:
        if not command[1] & 1:
            text = b"NETAPP  LUN C-Mode      9151"
            return bytes([0, 0, 6, 2, 31, 0, 0, 2]) + text
        match command[2]:
            case 0x00:
                return _page(0x00, bytes([0x00, 0x80, 0x83]))
            case 0x80:
                return _page(0x80, self._identity.encode()[:20])
            case 0x83:
                # Of the logical unit, binary, by the vendor's number.
                naa = bytes.fromhex("600a098" + self._identity)
                return _page(0x83, bytes([1, 3, 0, len(naa)]) + naa)
        raise Failed(UNKNOWN)


def _page(number: int, text: bytes) -> bytes:
    return bytes([0, number, 0, len(text)]) + text


def _place(command: bytes) -> int:
    wide = command[0] in (0x88, 0x8A)
    (sector,) = struct.unpack_from(">Q" if wide else ">I", command, 2)
    return int(sector) * SECTOR


def _fill(buffers: list[memoryview], text: bytes) -> None:
    for buffer in buffers:
        part, text = text[: len(buffer)], text[len(buffer) :]
        buffer[:] = part.ljust(len(buffer), b"\0")


class Ring:
    """The commands that the target hands to a process."""

    def __init__(self, memory: memoryview, lun: Lun) -> None:
        self._memory = memory
        self._lun = lun

    def work(self) -> None:
        """Answer all commands that are there."""
        memory = self._memory
        while True:
            begin, size, head = _RING.unpack_from(memory)
            (tail,) = _TAIL.unpack_from(memory, _TAIL_AT)
            if tail == head:
                return
            at = begin + tail
            (word,) = _HEADER.unpack_from(memory, at)
            if word & _KIND == _COMMAND:
                self._answer(at)
            _TAIL.pack_into(memory, _TAIL_AT, (tail + (word & ~_KIND)) % size)

    def _answer(self, at: int) -> None:
        memory = self._memory
        count, place = _BUFFERS.unpack_from(memory, at)
        places = [
            _BUFFER.unpack_from(memory, at + _FIRST_BUFFER + number * _BUFFER.size)
            for number in range(count)
        ]
        buffers = [memory[start : start + length] for start, length in places]
        status, sense = _GOOD, (0, 0, 0)
        try:
            self._lun.answer(bytes(memory[place : place + 16]), buffers)
        except Failed as failed:
            status, sense = _CHECK_CONDITION, failed.args[0]
        except OSError:
            status, sense = _CHECK_CONDITION, BROKEN
        key, code, qualifier = sense
        text = bytes([0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, code, qualifier])
        _ANSWER.pack_into(memory, at + _ANSWER_AT, status, text)


def main(device: str, file: str, name: str) -> None:
    """Answer until the target takes the device away."""
    sizes = Path("/sys/class/uio", Path(device).name, "maps/map0/size")
    size = int(sizes.read_text(encoding="ascii"), 16)
    data = os.open(file, os.O_RDWR)
    control = os.open(device, os.O_RDWR)
    lun = Lun(data, name, os.fstat(data).st_size)
    ring = Ring(memoryview(mmap.mmap(control, size)), lun)
    while True:
        ring.work()
        os.write(control, bytes(4))
        os.read(control, 4)


if __name__ == "__main__":
    main(*sys.argv[1:])
