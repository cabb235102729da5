# SPDX-License-Identifier: Apache-2.0
"""glance_store's own functional tests of a driver, run for ours over Cinder.

They configure a single store in [glance_store], without identifiers of stores, and
call ``add`` without the name of a hash, as callers did before glance_store 0.26.
"""

import os
from pathlib import Path

from glance_store import backend
from glance_store.tests.functional import base
from oslo_config import cfg
from oslo_config import types
import yaml

from glance_ontap_store.opts import OPTIONS
from lab import stores
from lab.client import Lab

# The tests set default_store, which accepts only the names of the drivers that
# glance_store itself has. Glance with enabled_backends does not use that option. So
# it accepts every name in this process, which runs nothing else.
for _option in backend._STORE_OPTS:
    if _option.name == "default_store":
        _option.type = types.String()


def log_in(lab):
    """Set the login that the base class looks for: it wants ids of domains."""
    clouds = yaml.safe_load(Path(lab.facts["clouds"]).read_text())["clouds"]
    auth = clouds["admin"]["auth"]
    os.environ |= {
        "OS_TEST_GLANCE_STORE_FUNC_TEST_CLOUD": "envvars",
        "OS_AUTH_URL": auth["auth_url"],
        "OS_USERNAME": auth["username"],
        "OS_PASSWORD": auth["password"],
        "OS_PROJECT_NAME": auth["project_name"],
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_DOMAIN_ID": "default",
        "OS_REGION_NAME": clouds["admin"]["region_name"],
    }


class TestOntap(base.BaseFunctionalTests):
    """The tests of the base class, with the options of the lab's store ``fv1``."""

    def __init__(self, *args, **kwargs):
        log_in(Lab.from_facts())
        super().__init__("ontap", *args, **kwargs)

    def setUp(self):
        stores.prepare_privileges(Lab.from_facts())
        of_lab = stores.settings_options("fv1")
        for option in OPTIONS:
            cfg.CONF.set_override(
                option.name, of_lab[option.name], group="glance_store"
            )
        super().setUp()
