# SPDX-License-Identifier: Apache-2.0
"""Our store in this process, configured as the running lab's Glance has it.

Functional tests and benchmarks use it. No other module of the lab imports the driver.
"""

import configparser
import functools
import os
import tempfile
from typing import Any
from typing import Protocol

from oslo_config import cfg

from glance_ontap_store.attach import privilege
from glance_ontap_store.backend import Backend
from glance_ontap_store.backend import build
from glance_ontap_store.cinder.client import CinderClient
from glance_ontap_store.identity import session_for
from glance_ontap_store.opts import OPTIONS
from glance_ontap_store.requester import Requester
from glance_ontap_store.settings import Settings
from glance_ontap_store.store import Store
from lab.client import Lab

CONFIG = "/etc/glance/glance-api.conf"


class Build(Protocol):
    """A function that makes a store's parts, as `glance_ontap_store.backend.build`."""

    def __call__(self, settings: Settings) -> Backend:
        """Return the parts of the store with these settings."""


def make_store(
    lab: Lab,
    store_id: str = "fv1",
    build: Build = build,
    **options: Any,
) -> Store:
    """Return store *store_id*, configured, with *options* in place of Glance's.

    Options are named without their prefix ``ontap_``.
    """
    prepare_privileges(lab)
    store = Store(_configuration(), backend=store_id)
    store.build = build
    for name, value in options.items():
        store.conf.set_override(f"ontap_{name}", value, group=store_id)
    store.configure(re_raise_bsc=True)
    return store


def settings(store_id: str, **options: Any) -> Settings:
    """Return the settings of a store of the lab's Glance, changed by *options*.

    Options are named without their prefix ``ontap_``.
    """
    own = {f"ontap_{name}": value for name, value in options.items()}
    return Settings.from_options({**settings_options(store_id), **own}, store_id)


def settings_options(store_id: str) -> dict[str, Any]:
    """Return the values of a store's options in the lab's glance-api.conf."""
    conf = _configuration()
    conf.register_opts(OPTIONS, group=store_id)
    return {option.name: conf[store_id][option.name] for option in OPTIONS}


def cinder(store_id: str, requester: Requester | None = None) -> CinderClient:
    """Return Cinder's client of a store, or of a store's *requester*."""
    given = settings(store_id)
    return CinderClient(given, session_for(given), requester)


def _configuration() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    conf([], project="glance", default_config_files=[CONFIG])
    return conf


def option(store_id: str, name: str) -> str:
    """Return the text of an option of a store in the lab's glance-api.conf."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(CONFIG)
    return parser[store_id][name]


def new_base() -> str:
    """Return a new base of mounts that Glance's own workers do not use.

    It lies below theirs: the helper that runs as root mounts nowhere else.
    """
    configured = option("fv1", "ontap_mount_point_base")
    os.makedirs(configured, exist_ok=True)
    return tempfile.mkdtemp(dir=configured)


def prepare_privileges(lab: Lab) -> None:
    """Let this process start its privileged helper, as Glance's processes do.

    privsep starts the helper with sudo, and with the process's configuration files.
    """
    _prepare_privileges(os.path.join(lab.facts["root"], "bin"))


@functools.cache
def _prepare_privileges(tools: str) -> None:
    os.environ["PATH"] = f"{tools}:{os.environ['PATH']}"
    cfg.CONF([], project="glance", default_config_files=[CONFIG])
    privilege.init("/etc/glance/rootwrap.conf")
