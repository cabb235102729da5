# SPDX-License-Identifier: Apache-2.0
"""What every kind of FlexVol does: the directory here, XFS in the functional tests."""

import errno
import os
import threading

import pytest

from lab.ontapsim import flexvol
from lab.ontapsim.flexvol import BLOCK_BYTES
from lab.ontapsim.flexvol import BlockRange
from lab.ontapsim.flexvol import Cancelled

MIB = 1 << 20


def write_sparse(path, length=8 * MIB):
    """Write a MiB of data at 2 MiB into a file that is holes otherwise."""
    with path.open("wb") as file:
        file.truncate(length)
        file.seek(2 * MIB)
        file.write(os.urandom(MIB))
        file.flush()
        os.fsync(file.fileno())


class FlexVolContract:
    """A subclass gives the fixture ``volume``, opened, with 100 MiB of room."""

    def test_a_clone_has_the_data_length_and_mode(self, volume):
        source, clone = volume.directory / "a", volume.directory / "b"
        write_sparse(source)
        source.chmod(0o640)
        volume.clone(source, clone)
        assert clone.read_bytes() == source.read_bytes()
        assert clone.stat().st_mode == source.stat().st_mode

    def test_a_clone_of_an_empty_file_is_empty(self, volume):
        (volume.directory / "a").touch()
        volume.clone(volume.directory / "a", volume.directory / "b")
        assert (volume.directory / "b").stat().st_size == 0

    def test_writing_to_the_source_leaves_the_clone_alone(self, volume):
        source, clone = volume.directory / "a", volume.directory / "b"
        source.write_bytes(b"x" * MIB)
        volume.clone(source, clone)
        source.write_bytes(b"y" * MIB)
        assert clone.read_bytes() == b"x" * MIB

    def test_overwriting_keeps_the_inode_and_drops_the_longer_rest(self, volume):
        source, clone = volume.directory / "a", volume.directory / "b"
        source.write_bytes(b"new")
        clone.write_bytes(b"much longer than that")
        inode = clone.stat().st_ino
        volume.clone(source, clone)
        assert clone.read_bytes() == b"new"
        assert clone.stat().st_ino == inode

    def test_cloning_a_missing_file_leaves_nothing(self, volume):
        with pytest.raises(FileNotFoundError):
            volume.clone(volume.directory / "none", volume.directory / "b")
        assert not (volume.directory / "b").exists()

    def test_a_link_is_not_followed(self, volume, tmp_path):
        (volume.directory / "a").symlink_to("/etc/hostname")
        with pytest.raises(OSError) as caught:
            volume.clone(volume.directory / "a", volume.directory / "b")
        assert caught.value.errno == errno.ELOOP

    def test_a_range_is_cloned_to_its_offset(self, volume):
        source, target = volume.directory / "a", volume.directory / "b"
        blocks = [bytes([n]) * BLOCK_BYTES for n in range(8)]
        source.write_bytes(b"".join(blocks))
        target.write_bytes(b"\xff" * 8 * BLOCK_BYTES)
        volume.clone_range(source, target, BlockRange(2, 5, 2))
        expected = [b"\xff" * BLOCK_BYTES] * 8
        expected[5:7] = blocks[2:4]
        assert target.read_bytes() == b"".join(expected)

    def test_a_copy_keeps_data_length_and_holes(self, volume):
        source, copy = volume.directory / "a", volume.directory / "b"
        write_sparse(source)
        seen = []
        moved = flexvol.copy_file(source, copy, seen.append, threading.Event())
        assert copy.read_bytes() == source.read_bytes()
        assert moved == seen[-1] < source.stat().st_size
        assert copy.stat().st_blocks * 512 < 4 * MIB

    def test_a_copy_of_a_hole_moves_nothing(self, volume):
        source, copy = volume.directory / "a", volume.directory / "b"
        with source.open("wb") as file:
            file.truncate(3 * MIB + 1)
        assert flexvol.copy_file(source, copy, print, threading.Event()) == 0
        assert copy.stat().st_size == 3 * MIB + 1

    def test_a_copy_never_overwrites(self, volume):
        for name in "ab":
            (volume.directory / name).write_text(name)
        with pytest.raises(FileExistsError):
            flexvol.copy_file(
                volume.directory / "a",
                volume.directory / "b",
                print,
                threading.Event(),
            )
        assert (volume.directory / "b").read_text() == "b"

    def test_a_copy_that_is_stopped_leaves_its_part(self, volume):
        source, copy = volume.directory / "a", volume.directory / "b"
        source.write_bytes(os.urandom(2 * flexvol.COPY_CHUNK_BYTES))
        stop = threading.Event()

        def stop_at_the_first_chunk(copied):
            if copied:
                stop.set()

        with pytest.raises(Cancelled):
            flexvol.copy_file(source, copy, stop_at_the_first_chunk, stop)
        assert 0 < copy.stat().st_size < source.stat().st_size

    def test_usage_adds_up_and_sees_new_data(self, volume):
        before = volume.usage()
        with (volume.directory / "a").open("wb") as file:
            file.write(os.urandom(4 * MIB))
            file.flush()
            os.fsync(file.fileno())
        after = volume.usage()
        assert after.used - before.used >= 4 * MIB
        assert before.available - after.available >= 4 * MIB
        assert after.used + after.available <= after.total == before.total

    def test_growing_gives_room_and_keeps_the_data(self, volume):
        (volume.directory / "a").write_text("kept")
        before = volume.usage()
        volume.grow(700 * MIB)
        assert volume.usage().available > before.available
        assert (volume.directory / "a").read_text() == "kept"

    def test_data_stays_over_closing_and_opening(self, volume):
        (volume.directory / "a").write_text("kept")
        volume.close()
        volume.close()
        volume.open()
        assert (volume.directory / "a").read_text() == "kept"

    def test_destroying_leaves_nothing(self, volume):
        (volume.directory / "d").mkdir()
        (volume.directory / "d" / "a").write_text("x")
        volume.destroy()
        assert not volume.directory.exists()
