# SPDX-License-Identifier: Apache-2.0
"""Small genuine images of every disk format that Glance inspects.

Each holds a disk of `DISK_SIZE` bytes without data, written from the formats'
specifications, so that tests need no qemu-img. qemu-img opens all that it knows.
"""

import dataclasses
import random
import struct
import uuid
import zlib

KIB = 1024
MIB = 1024 * 1024
SECTOR = 512
DISK_SIZE = 8 * MIB


@dataclasses.dataclass(frozen=True)
class DiskImage:
    """An image file and what an inspector has to find in it.

    *formats*: the names that oslo.utils gives it. *disk_format*: the name under
    which a user uploads it to Glance. *qemu_format*: qemu-img's name, None if
    qemu-img does not know the format.
    """

    name: str
    data: bytes
    formats: frozenset[str]
    virtual_size: int
    disk_format: str
    qemu_format: str | None = None
    is_allowed: bool = True


def every_image() -> list[DiskImage]:
    """Return one image for each format and kind of file, in a fixed order."""
    return [
        _image("raw", raw(), "raw", virtual_size=3 * MIB + 17),
        _image("gpt", gpt(), "gpt", "raw", DISK_SIZE, "raw"),
        _image("qcow2", qcow2(), "qcow2"),
        _image("qed", qed(), "qed", "raw", 5 * 64 * KIB, "qed", is_allowed=False),
        _image("vdi", vdi(), "vdi"),
        _image("vhd", vhd(), "vhd", qemu_format="vpc"),
        _image("vhdx", vhdx(), "vhdx"),
        _image("vmdk-sparse", vmdk_sparse(), "vmdk"),
        _image("vmdk-stream", vmdk_stream(), "vmdk"),
        _image("iso", iso(), "iso", qemu_format="raw"),
        DiskImage("iso-gpt", iso_gpt(), frozenset({"iso", "gpt"}), DISK_SIZE, "iso"),
        _image("luks", luks(), "luks", "raw", DISK_SIZE, "luks"),
    ]


def _image(
    name: str,
    data: bytes,
    inspected: str,
    disk_format: str | None = None,
    virtual_size: int = DISK_SIZE,
    qemu_format: str | None = None,
    is_allowed: bool = True,
) -> DiskImage:
    disk_format = disk_format or inspected
    return DiskImage(
        name,
        data,
        frozenset({inspected}),
        virtual_size,
        disk_format,
        qemu_format or disk_format,
        is_allowed,
    )


class _File:
    """A file that is written at any place; the rest is zeros."""

    def __init__(self, size: int) -> None:
        self._data = bytearray(size)

    def put(self, offset: int, data: bytes) -> None:
        self._data[offset : offset + len(data)] = data

    def bytes(self) -> bytes:
        return bytes(self._data)


def raw() -> bytes:
    """Random bytes, in no format."""
    return b"raw" + random.Random(20260102).randbytes(3 * MIB + 14)


def gpt() -> bytes:
    """A disk with an empty GUID partition table (UEFI 2.10, chapter 5)."""
    file = _File(DISK_SIZE)
    _put_gpt(file)
    return file.bytes()


def _put_gpt(file: _File) -> None:
    last = DISK_SIZE // SECTOR - 1
    entries = bytes(128 * 128)
    disk = uuid.UUID(int=1).bytes_le
    for place, other, at in ((1, last, 2), (last, 1, last - 32)):
        header = struct.pack(
            "<8sIIIIQQQQ16sQIII",
            *(b"EFI PART", 0x10000, 92, 0, 0, place, other, 34, last - 33, disk),
            *(at, 128, 128, zlib.crc32(entries)),
        )
        checksum = struct.pack("<I", zlib.crc32(header))
        file.put(place * SECTOR, header[:16] + checksum + header[20:])
    # One partition of type 0xEE protects the table from tools that know only MBR.
    entry = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, last)
    file.put(446, entry)
    file.put(510, b"\x55\xaa")


def qcow2() -> bytes:
    """Version 3 with a table of refcounts and an empty L1 table (QEMU, qcow2.rst)."""
    cluster = 64 * KIB
    file = _File(4 * cluster)
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        *(b"QFI\xfb", 3, 0, 0, 16, DISK_SIZE, 0, 1, 3 * cluster),
        *(cluster, 1, 0, 0, 0, 0, 0, 4, 104),
    )
    file.put(0, header)
    file.put(cluster, struct.pack(">Q", 2 * cluster))
    file.put(2 * cluster, struct.pack(">4H", 1, 1, 1, 1))
    return file.bytes()


def qed() -> bytes:
    """A header and an empty L1 table (QEMU, qed_spec.rst). Glance bans the format."""
    cluster = 64 * KIB
    file = _File(5 * cluster)
    header = struct.pack(
        "<4sIIIQQQQQII",
        *(b"QED\0", cluster, 4, 1, 0, 0, 0, cluster, DISK_SIZE, 0, 0),
    )
    file.put(0, header)
    return file.bytes()


def vdi() -> bytes:
    """A header and a map of blocks without data (QEMU, block/vdi.c)."""
    blocks = DISK_SIZE // MIB
    file = _File(2 * SECTOR)
    file.put(0, b"<<< QEMU VM Virtual Disk Image >>>\n")
    fields = struct.pack("<IIII", 0xBEDA107F, 0x10001, 0x180, 1)
    file.put(0x40, fields)
    file.put(0x154, struct.pack("<IIIII", SECTOR, 2 * SECTOR, 0, 0, 0))
    file.put(0x168, struct.pack("<IIQIIII", SECTOR, 0, DISK_SIZE, MIB, 0, blocks, 0))
    file.put(0x188, uuid.UUID(int=1).bytes + uuid.UUID(int=2).bytes)
    file.put(SECTOR, b"\xff" * 4 * blocks)
    return file.bytes()


def vhd() -> bytes:
    """A dynamic disk without blocks (Virtual Hard Disk Image Format 1.0)."""
    block = 2 * MIB
    blocks = DISK_SIZE // block
    file = _File(4 * SECTOR + SECTOR)
    footer = struct.pack(
        ">8sIIQI4sI4sQQHBBII16sB",
        *(b"conectix", 2, 0x10000, SECTOR, 0, b"win ", 0x50003, b"Wi2k"),
        *(DISK_SIZE, DISK_SIZE, 240, 4, 17, 3, 0, uuid.UUID(int=1).bytes, 0),
    )
    footer = _with_sum(footer.ljust(SECTOR, b"\0"), 64)
    header = struct.pack(
        ">8sQQIIII", b"cxsparse", 2**64 - 1, 3 * SECTOR, 0x10000, blocks, block, 0
    )
    file.put(0, footer)
    file.put(SECTOR, _with_sum(header.ljust(2 * SECTOR, b"\0"), 36))
    file.put(3 * SECTOR, b"\xff" * SECTOR)
    file.put(4 * SECTOR, footer)
    return file.bytes()


def _with_sum(block: bytes, at: int) -> bytes:
    checksum = struct.pack(">I", ~sum(block) & 0xFFFFFFFF)
    return block[:at] + checksum + block[at + 4 :]


def vhdx(metadata_at: int = MIB) -> bytes:
    """A dynamic disk without blocks ([MS-VHDX] 2.0).

    The region of metadata lies by default where the specification allows it at the
    earliest: it is the hardest place for an inspector that is fed in pieces.
    """
    places = [at * MIB for at in range(1, 5) if at * MIB != metadata_at]
    log_at, map_at = places[:2]
    file = _File(8 * MIB)
    file.put(0, b"vhdxfile")
    for number, at in enumerate((64 * KIB, 128 * KIB)):
        guids = [uuid.UUID(int=value).bytes_le for value in (1, 2, 0)]
        header = struct.pack(
            "<4sIQ16s16s16sHHIQ", b"head", 0, number, *guids, 0, 1, MIB, log_at
        )
        file.put(at, _with_crc32c(header.ljust(4 * KIB, b"\0")))
    regions = [
        ("2DC27766-F623-4200-9D64-115E9BFD4A08", map_at),
        ("8B7CA206-4790-4B9A-B8FE-575F050F886E", metadata_at),
    ]
    table = struct.pack("<4sIII", b"regi", 0, len(regions), 0) + b"".join(
        struct.pack("<16sQII", uuid.UUID(guid).bytes_le, at, MIB, 1)
        for guid, at in regions
    )
    for at in (192 * KIB, 256 * KIB):
        file.put(at, _with_crc32c(table.ljust(64 * KIB, b"\0")))
    _put_vhdx_metadata(file, metadata_at)
    return file.bytes()


def _put_vhdx_metadata(file: _File, start: int) -> None:
    items = [
        ("CAA16737-FA36-4D43-B3B6-33F0AA44E76B", struct.pack("<II", 2 * MIB, 0), 4),
        ("2FA54224-CD1B-4876-B211-5DBED83BF4B8", struct.pack("<Q", DISK_SIZE), 6),
        ("BECA12AB-B2E6-4523-93EF-C309E000C746", uuid.UUID(int=3).bytes_le, 6),
        ("8141BF1D-A96F-4709-BA47-F233A8FAAB5F", struct.pack("<I", SECTOR), 6),
        ("CDA348C7-445D-4471-9CC9-E9885251C556", struct.pack("<I", SECTOR), 6),
    ]
    table = struct.pack("<8sHH20s", b"metadata", 0, len(items), b"")
    at = 64 * KIB
    for guid, value, flags in items:
        guid_bytes = uuid.UUID(guid).bytes_le
        table += struct.pack("<16sIIII", guid_bytes, at, len(value), flags, 0)
        file.put(start + at, value)
        at += len(value)
    file.put(start, table)


def _with_crc32c(block: bytes) -> bytes:
    """Fill in the checksum (CRC-32C) of a structure of VHDX, at byte 4."""
    crc = 0xFFFFFFFF
    for byte in block:
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return block[:4] + struct.pack("<I", crc ^ 0xFFFFFFFF) + block[8:]


def _crc32c_table() -> list[int]:
    table = []
    for value in range(256):
        for _bit in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC32C = _crc32c_table()

_VMDK_GRAIN = 128  # sectors
_VMDK_ENTRIES = 512
_VMDK_AT_END = 2**64 - 1


def vmdk_sparse() -> bytes:
    """A monolithicSparse disk without grains (VMware Virtual Disk Format 5.0)."""
    file = _File(_VMDK_GRAIN * SECTOR)
    file.put(0, _vmdk_header(1, 3, 21, 26))
    file.put(SECTOR, _vmdk_descriptor("monolithicSparse"))
    file.put(21 * SECTOR, struct.pack("<I", 22))
    file.put(26 * SECTOR, struct.pack("<I", 27))
    return file.bytes()


def vmdk_stream() -> bytes:
    """A streamOptimized disk without grains; its last sectors are a footer."""
    start = _VMDK_GRAIN
    file = _File((start + 5) * SECTOR)
    flags = 0x30001
    file.put(0, _vmdk_header(3, flags, 0, _VMDK_AT_END))
    file.put(SECTOR, _vmdk_descriptor("streamOptimized"))
    file.put(start * SECTOR, struct.pack("<QII", 1, 0, 2))
    file.put((start + 2) * SECTOR, struct.pack("<QII", 1, 0, 3))
    file.put((start + 3) * SECTOR, _vmdk_header(3, flags, 0, start + 1))
    return file.bytes()


def _vmdk_header(version: int, flags: int, spare_at: int, directory_at: int) -> bytes:
    compression = 1 if flags & 0x10000 else 0
    return struct.pack(
        "<4sIIQQQQIQQQB4sH433s",
        *(b"KDMV", version, flags, DISK_SIZE // SECTOR, _VMDK_GRAIN, 1, 20),
        *(_VMDK_ENTRIES, spare_at, directory_at, _VMDK_GRAIN, 0, b"\n \r\n"),
        *(compression, b""),
    )


def _vmdk_descriptor(kind: str) -> bytes:
    return f"""# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="{kind}"

# Extent description
RW {DISK_SIZE // SECTOR} SPARSE "disk.vmdk"

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "4"
ddb.geometry.cylinders = "16"
ddb.geometry.heads = "16"
ddb.geometry.sectors = "63"
ddb.adapterType = "ide"
""".encode()


def iso() -> bytes:
    """A volume without files (ECMA-119)."""
    file = _File(DISK_SIZE)
    _put_iso(file)
    return file.bytes()


def iso_gpt() -> bytes:
    """An ISO that can be copied to a disk and started from there."""
    file = _File(DISK_SIZE)
    _put_gpt(file)
    _put_iso(file)
    return file.bytes()


def _put_iso(file: _File) -> None:
    sector = 2048
    blocks = DISK_SIZE // sector

    def both(kind: str, value: int) -> bytes:
        return struct.pack(f"<{kind}", value) + struct.pack(f">{kind}", value)

    root = struct.pack(
        "<BB8s8s7sBBB4sB1s",
        *(34, 0, both("I", 20), both("I", sector), bytes(7), 2, 0, 0),
        *(both("H", 1), 1, b"\0"),
    )
    volume = _File(sector)
    volume.put(0, b"\1CD001\1")
    volume.put(8, b" " * 32 + b"IMAGE".ljust(32))
    volume.put(80, both("I", blocks))
    volume.put(120, both("H", 1) + both("H", 1) + both("H", sector))
    volume.put(156, root)
    volume.put(881, b"\1")
    file.put(16 * sector, volume.bytes())
    file.put(17 * sector, b"\xffCD001\1")
    itself, parent = root, root[:33] + b"\1"
    file.put(20 * sector, itself + parent)


def luks() -> bytes:
    """Version 1 with one key slot whose key nobody has (LUKS On-Disk Format 1.2.3)."""
    payload_at = 4096
    file = _File(payload_at * SECTOR + DISK_SIZE)
    header = struct.pack(
        ">6sH32s32s32sII20s32sI40s",
        *(b"LUKS\xba\xbe", 1, b"aes", b"xts-plain64", b"sha256", payload_at, 64),
        *(b"\1" * 20, b"\2" * 32, 1000, str(uuid.UUID(int=1)).encode()),
    )
    for slot in range(8):
        state = 0x0000DEAD if slot else 0x00AC71F3
        at = 8 + 504 * slot
        header += struct.pack(">II32sII", state, 1000, b"\3" * 32, at, 4000)
    file.put(0, header)
    file.put(payload_at * SECTOR, random.Random(20260103).randbytes(DISK_SIZE))
    return file.bytes()
