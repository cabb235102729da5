# SPDX-License-Identifier: Apache-2.0
"""The text of a mark, written and read."""

import pytest

from glance_ontap_store.liveness.marks import Mark

MARK = Mark(
    "0fb1d5e2-6f2c-4a8f-9d55-1f4c0f1f9d11", "5f8b3e1c-7c0b-4d26-8f6f-6d6f6f0b1a22"
)


def test_a_mark_is_read_back():
    assert Mark.parse(str(MARK)) == MARK
    assert Mark.of_device(MARK.mountpoint) == MARK


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "glance_store",
        MARK.token,
        f"{MARK}\n",
        f"{MARK}:x",
        str(MARK).upper(),
        f"..:{MARK.token}",
        f"{MARK.base_id}:../{MARK.token}",
    ],
)
def test_another_text_is_no_mark(text):
    assert Mark.parse(text) is None
    assert Mark.of_device(text) is None
    assert Mark.of_device(f"glance_store:{text}") is None


def test_the_device_of_another_program_is_no_mark():
    assert Mark.of_device(str(MARK)) is None
    assert Mark.of_device("/dev/vdb") is None


def test_cinder_has_room_for_a_mark():
    """A value of metadata and a mount point have at most 255 characters."""
    assert len(MARK.mountpoint) < 255
