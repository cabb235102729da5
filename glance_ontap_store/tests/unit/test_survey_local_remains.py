# SPDX-License-Identifier: Apache-2.0
"""Whose an attachment is, by the journals of this host's processes."""

import pytest

from glance_ontap_store import errors
from glance_ontap_store.liveness.journal import Journal
from glance_ontap_store.liveness.marks import Mark
from glance_ontap_store.liveness.processes import Fate
from glance_ontap_store.liveness.processes import Processes
from glance_ontap_store.survey.local_remains import Owners


@pytest.fixture
def base(tmp_path):
    return str(tmp_path / "mnt")


@pytest.fixture
def live(base):
    process = Processes(base)
    process.own()
    yield process
    process.close()


@pytest.fixture
def dead(base):
    process = Processes(base)
    process.own()
    yield process
    process.close()


def test_an_attachment_in_a_journal_is_its_processs(base, live):
    handle = Journal(live, "fv1").attaching("volume-1")
    handle.complete("attachment-1")
    owners = Owners([base])
    assert owners.owner("attachment-1", "volume-1") == live.own()
    assert owners.owner("attachment-2", "volume-1") is None


def test_one_that_a_live_process_awaits_is_that_processs(base, live):
    Journal(live, "fv1").attaching("volume-1")
    assert Owners([base]).owner("attachment-1", "volume-1") == live.own()


def test_one_that_a_dead_process_awaited_may_be_anybodys(base, live, dead):
    """Otherwise the reservation of a live reader would be taken for the dead one's."""
    Journal(dead, "fv1").attaching("volume-1")
    dead.close()
    assert Owners([base]).owner("attachment-1", "volume-1") is None
    Journal(live, "fv2").attaching("volume-1")
    assert Owners([base]).owner("attachment-1", "volume-1") == live.own()


def test_fates_are_those_of_any_of_the_bases(base, live, tmp_path):
    elsewhere = Mark(*["0fb1d5e2-6f2c-4a8f-9d55-1f4c0f1f9d11"] * 2)
    owners = Owners([str(tmp_path / "other"), base])
    assert owners.fates([live.own(), elsewhere]) == {
        live.own(): Fate.LIVE,
        elsewhere: Fate.ELSEWHERE,
    }


def test_a_base_that_cannot_be_used_is_an_error(tmp_path):
    """Without it, live processes of this host would not be known."""
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.Misconfigured):
        Owners([str(tmp_path / "file")])
