# SPDX-License-Identifier: Apache-2.0
"""Our store in this process, configured as the running lab's Glance has it.

The only module of the lab that imports the driver. Functional tests and benchmarks
use it; the lab's services do not.
"""

import configparser
import functools
import os
from typing import Any

from oslo_config import cfg

from glance_ontap_store.attach import privilege
from glance_ontap_store.store import Store
from lab.client import Lab

CONFIG = "/etc/glance/glance-api.conf"


def make_store(lab: Lab, store_id: str = "fv1", **options: Any) -> Store:
    """Return store *store_id*, configured, with *options* in place of Glance's.

    Options are named without their prefix ``ontap_``.
    """
    prepare_privileges(lab)
    conf = cfg.ConfigOpts()
    conf([], project="glance", default_config_files=[CONFIG])
    store = Store(conf, backend=store_id)
    for name, value in options.items():
        conf.set_override(f"ontap_{name}", value, group=store_id)
    store.configure(re_raise_bsc=True)
    return store


def option(store_id: str, name: str) -> str:
    """Return the text of an option of a store in the lab's glance-api.conf."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(CONFIG)
    return parser[store_id][name]


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
