# SPDX-License-Identifier: Apache-2.0
"""Recognise the formats of virtual disks by an image's first bytes. Pure.

Glance's own detector (oslo.utils, imageutils.format_inspector) is in no release before
2024.2, and reads more than the beginning.
"""

# What `detect` returns for bytes of no format that it knows.
RAW = "raw"

# Name -> the bytes by which Cinder and QEMU take a file for that format, and where
# they are. Sources: block/*.c of QEMU and oslo.utils' format_inspector.
_MARKS = {
    "qcow2": [(0, b"QFI\xfb")],
    "qed": [(0, b"QED\0")],
    "vmdk": [(0, b"KDMV"), (0, b"COWD"), (0, b"# Disk DescriptorFile")],
    "vhdx": [(0, b"vhdxfile")],
    "vhd": [(0, b"conectix")],
    "vdi": [(0x40, b"\x7f\x10\xda\xbe")],
    "luks": [(0, b"LUKS\xba\xbe")],
    "iso": [(32769, b"CD001")],
}
# The bytes that `detect` needs of an image.
HEAD = max(at + len(mark) for marks in _MARKS.values() for at, mark in marks)


def detect(head: bytes) -> str:
    """Return Glance's name of the format that an image begins with, or `RAW`.

    *head* are the image's first `HEAD` bytes, or all of them.
    """
    for name, marks in _MARKS.items():
        if any(head[at : at + len(mark)] == mark for at, mark in marks):
            return name
    return RAW
