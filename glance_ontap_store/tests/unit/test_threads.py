# SPDX-License-Identifier: Apache-2.0
import sys
import types

import pytest

from glance_ontap_store.transfer import threads


@pytest.mark.parametrize(("patched", "are_real"), [(["thread"], False), (["os"], True)])
def test_eventlets_threads_are_not_real(monkeypatch, patched, are_real):
    patcher = types.SimpleNamespace(is_monkey_patched=lambda name: name in patched)
    monkeypatch.setitem(sys.modules, "eventlet.patcher", patcher)
    assert threads.are_real() is are_real


def test_without_eventlet_threads_are_real(monkeypatch):
    monkeypatch.delitem(sys.modules, "eventlet.patcher", raising=False)
    assert threads.are_real()
