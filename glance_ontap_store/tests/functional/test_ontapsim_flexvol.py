# SPDX-License-Identifier: Apache-2.0
"""FlexVols as XFS on loop files, which share blocks and can be full."""

from concurrent.futures import ThreadPoolExecutor
import errno
import os
import threading

import pytest

from glance_ontap_store.tests.unit.ontapsim.flexvol_contract import MIB
from glance_ontap_store.tests.unit.ontapsim.flexvol_contract import FlexVolContract
from lab.ontapsim import flexvol
from lab.ontapsim import requirements
from lab.ontapsim.flexvol import LoopFlexVol
from lab.ontapsim.flexvol import unshared_bytes

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(
        bool(requirements.missing()), reason=requirements.missing() or "-"
    ),
]


def opened(tmp_path, name):
    volume = LoopFlexVol(tmp_path, name, 512 * MIB)
    volume.open()
    return volume


def write(path, size):
    """Write random data, so that nothing could store it in less."""
    with path.open("wb") as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
        file.flush()
        os.fsync(file.fileno())


@pytest.fixture
def volume(tmp_path):
    volume = opened(tmp_path, "fv1")
    yield volume
    volume.close()


@pytest.fixture
def other(tmp_path):
    volume = opened(tmp_path, "fv2")
    yield volume
    volume.close()


class TestLoopFlexVol(FlexVolContract):
    pass


def test_a_clone_takes_no_room_and_shares_every_block(volume):
    source, clone = volume.directory / "a", volume.directory / "b"
    write(source, 64 * MIB)
    before = volume.usage().used
    volume.clone(source, clone)
    assert volume.usage().used - before < MIB
    assert unshared_bytes(source) == unshared_bytes(clone) == 0
    # st_blocks counts them in both: this is why space.used comes from statvfs.
    assert clone.stat().st_blocks == source.stat().st_blocks


def test_writing_into_a_clone_unshares_only_the_written_blocks(volume):
    source, clone = volume.directory / "a", volume.directory / "b"
    write(source, 16 * MIB)
    volume.clone(source, clone)
    with clone.open("r+b") as file:
        file.write(os.urandom(4 * MIB))
        file.flush()
        os.fsync(file.fileno())
    assert 4 * MIB <= unshared_bytes(clone) < 5 * MIB


def test_twenty_clones_at_once_take_no_room(volume):
    source = volume.directory / "a"
    write(source, 64 * MIB)
    before = volume.usage().used
    with ThreadPoolExecutor(20) as pool:
        targets = [volume.directory / f"c{n}" for n in range(20)]
        list(pool.map(lambda target: volume.clone(source, target), targets))
    assert volume.usage().used - before < MIB
    assert all(unshared_bytes(target) == 0 for target in targets)


def test_a_clone_into_another_flexvol_is_impossible(volume, other):
    source, target = volume.directory / "a", other.directory / "a"
    write(source, MIB)
    with pytest.raises(OSError) as caught:
        volume.clone(source, target)
    assert caught.value.errno == errno.EXDEV
    assert not target.exists()


def test_a_copy_to_another_flexvol_takes_its_room_there(volume, other):
    source, target = volume.directory / "a", other.directory / "a"
    write(source, 32 * MIB)
    before = other.usage().used
    flexvol.copy_file(source, target, print, threading.Event())
    assert other.usage().used - before >= 32 * MIB
    assert target.read_bytes() == source.read_bytes()


def test_a_full_flexvol_is_full(volume, other):
    write(volume.directory / "a", 256 * MIB)
    write(other.directory / "a", 256 * MIB)
    room = volume.usage().available
    with pytest.raises(OSError) as caught:
        flexvol.copy_file(
            other.directory / "a", volume.directory / "b", print, threading.Event()
        )
    assert caught.value.errno == errno.ENOSPC
    assert room < 256 * MIB
    assert volume.usage().available < 8 * MIB
    volume.directory.joinpath("b").unlink()


def test_deleted_data_leaves_the_loop_file(volume):
    path = volume.directory / "a"
    write(path, 128 * MIB)
    taken = volume.image.stat().st_blocks * 512
    assert taken >= 128 * MIB
    path.unlink()
    volume.close()  # XFS frees and discards in the background until then
    assert volume.image.stat().st_blocks * 512 < taken - 100 * MIB


def test_an_image_of_another_size_than_xfs_takes_is_refused(tmp_path):
    with pytest.raises(OSError, match="300 MiB"):
        LoopFlexVol(tmp_path, "small", 100 * MIB).open()
    assert not (tmp_path / "small.img").exists()


def test_closing_a_busy_flexvol_detaches_it(volume):
    with (volume.directory / "a").open("w"):
        volume.close()
        assert not volume.directory.is_mount()
