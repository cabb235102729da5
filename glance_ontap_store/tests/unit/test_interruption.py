# SPDX-License-Identifier: Apache-2.0
"""A signal ends the work of `adopt` instead of the process."""

import signal

import pytest

from glance_ontap_store.stopping.interruption import Interrupted
from glance_ontap_store.stopping.interruption import Stop


@pytest.fixture
def restored():
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    yield before
    for each, handler in before.items():
        signal.signal(each, handler)


def test_a_signal_asks_for_the_end_once(restored):
    stop, said = Stop(), []
    with stop.at_signals(said.append):
        stop.check()
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_set
        with pytest.raises(Interrupted, match="run the command again"):
            stop.check()
    assert said == ["Interrupted: ending what was begun ..."]
    assert signal.getsignal(signal.SIGTERM) is restored[signal.SIGTERM]


def test_a_signal_that_is_ignored_stays_ignored(restored):
    """As nohup(1) has it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = Stop()
    with stop.at_signals(print):
        signal.raise_signal(signal.SIGHUP)
        assert not stop.is_set
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
