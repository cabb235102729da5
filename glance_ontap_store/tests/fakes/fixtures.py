# SPDX-License-Identifier: Apache-2.0
"""Pytest fixtures for the fakes; a conftest.py imports them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from glance_ontap_store.telemetry import recording
from glance_ontap_store.tests.fakes import exports
from glance_ontap_store.tests.fakes.cloud import FakeCloud
from glance_ontap_store.tests.fakes.recorder import FakeRecorder


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCloud]:
    """A fake Cinder and host, with stores over them that glance_store makes."""
    root = exports.on_another_file_system(tmp_path)
    yield FakeCloud(tmp_path, root, monkeypatch)
    exports.remove(root)


@pytest.fixture
def recorder(cloud: FakeCloud) -> Iterator[FakeRecorder]:
    """The recorder of this process; time passes by the cloud's clock."""
    made = FakeRecorder()
    recording.use(made, cloud.clock.monotonic)
    yield made
    recording.use(None)
