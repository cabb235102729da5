# SPDX-License-Identifier: Apache-2.0
"""A host of Glance: processes with the whole store, of which some are killed."""

from collections.abc import Callable
import os
import signal
from typing import Any

from keystoneauth1.session import Session
from oslo_config import cfg

from glance_ontap_store import backend
from glance_ontap_store import opts
from glance_ontap_store.backend import Backend
from glance_ontap_store.images.filling import Upload
from glance_ontap_store.settings import Settings
from glance_ontap_store.tests.fakes.glance import Content
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.mortal import Line
from glance_ontap_store.tests.kernel import guest
from glance_ontap_store.tests.kernel import transfers
from glance_ontap_store.tests.kernel.cinder import KernelCinder

_STORE = "kernel"


class Host:
    """The processes of one store, whose volumes are of *volume_type*.

    Cinder is this process, and outlives them.
    """

    def __init__(self, cinder: KernelCinder, volume_type: str) -> None:
        self._cinder = cinder
        self._settings = _settings(volume_type)
        self._line = Line({"cinder": cinder})

    def do(self, operation: Callable[[Backend], Any]) -> Any:
        """What *operation* returns in a new process, which ends without clean-up."""
        run = self._line.run(lambda: operation(self._store()), is_watched=False)
        return run.must()

    def dies(self, operation: Callable[[Backend], Any]) -> None:
        """Let *operation* kill its process; see `die`."""
        run = self._line.run(lambda: operation(self._store()), is_watched=False)
        assert "ended without an answer" in str(run.error), run

    def _store(self) -> Backend:
        """The store as Glance has it, but for its Cinder."""
        service = self._line.remote("cinder")
        return backend.assemble(self._settings, Session(), service, False)

    def holdings(self) -> set[str]:
        """What Cinder and the kernel have of the store."""
        held = [*guest.mounted(), *guest.connected()]
        return self._cinder.holdings().union(held)


def die() -> None:
    """Kill this process; no code of it runs afterwards."""
    os.kill(os.getpid(), signal.SIGKILL)


def upload(store: Backend, content: Content) -> str:
    """Store an image; its volume's id."""
    source = Upload("image-1", "acme", OnePass(content), content.size, "sha256")
    return store.images.store(source).volume_id


def misread(store: Backend, volume_id: str, content: Content) -> int | None:
    """Return where an image differs from *content*, or None."""
    transfers.forget()
    found, _size = store.images.read(volume_id, 0, None)
    return transfers.mismatch(found, content)


def recover(store: Backend) -> None:
    """Do what a process does at its first use."""
    stores = backend.Stores()
    stores.add(store)
    stores.rounds.work()
    stores.rounds.join_unmounting()


def _settings(volume_type: str) -> Settings:
    conf = cfg.ConfigOpts()
    conf.register_opts(opts.OPTIONS, group=_STORE)
    conf([], project="glance", default_config_files=[])
    values = {option.name: conf[_STORE][option.name] for option in opts.OPTIONS}
    values |= {
        "ontap_store_auth_address": "http://127.0.0.1/v3",
        "ontap_store_user_name": "glance",
        "ontap_store_password": "s3cret",
        "ontap_store_project_name": "images",
        "ontap_volume_type": volume_type,
        "ontap_mount_point_base": guest.BASE,
        "ontap_use_multipath": True,
        "ontap_linger": 0,
    }
    return Settings.from_options(values, _STORE)
