# SPDX-License-Identifier: Apache-2.0
"""Configuration files against the options that Glance and Cinder really have.

Run as ``python -m glance_ontap_store.tests.functional.option_lists SERVICE FILE``,
because a process cannot hold the options of both services. It prints each unknown group
and option and each bad value in FILE, and ends with 1 if there are any.
oslo-config-validator knows no groups that the operator named, and looks at no values;
and the list of Cinder's options (``cinder.opts``) needs the libraries of all drivers.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import importlib
from importlib import metadata
import sys

from keystoneauth1 import loading
from oslo_config import cfg

Sections = dict[str, dict[str, list[str]]]

LISTED_FOR_BOTH = ("oslo.concurrency", "oslo.db", "oslo.messaging", "oslo.policy")
LISTED_FOR_GLANCE = (*LISTED_FOR_BOTH, "glance.api", "keystonemiddleware.auth_token")
# The modules that register the options of cinder-api and cinder-volume.
CINDER = (
    "cinder.common.config",
    "cinder.image.image_utils",
    "cinder.service_auth",
    "cinder.volume.driver",
    "keystonemiddleware.auth_token",
)
NETAPP = "cinder.volume.drivers.netapp.options"


def glance(sections: Sections) -> cfg.ConfigOpts:
    """Return a configuration with the options that glance-api has."""
    # Only where Glance is installed.
    from glance.async_.flows.plugins import plugin_opts
    from glance.opts import list_image_import_opts
    import glance_store
    from glance_store.driver import _MULTI_BACKEND_OPTS as of_every_store

    conf = cfg.ConfigOpts()
    _register_listed(conf, LISTED_FOR_GLANCE)
    for group, options in (*list_image_import_opts(), *plugin_opts.get_plugin_opts()):
        conf.register_opts(options, group)
    conf([], default_config_files=[])
    enabled = sections["DEFAULT"].get("enabled_backends")
    if enabled:
        stores = dict(_pairs(enabled[0]))
        conf.set_override("enabled_backends", stores)
        reserved = {"os_glance_staging_store": "file", "os_glance_tasks_store": "file"}
        glance_store.register_store_opts(conf, reserved_stores=reserved)
        for store in stores:
            # glance_store registers these when it makes the store.
            conf.register_opts(of_every_store, store)
    return conf


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.split(","):
        store, kind = pair.strip().split(":")
        yield store, kind


def cinder(sections: Sections) -> cfg.ConfigOpts:
    """Return the configuration of this process with the options that Cinder has."""
    from cinder import objects

    objects.register_all()
    for name in CINDER:
        importlib.import_module(name)
    from cinder.volume import configuration
    from cinder.volume import driver
    from cinder.volume import manager
    from cinder.volume.drivers import nfs
    from cinder.volume.drivers import remotefs

    netapp = importlib.import_module(NETAPP)
    of_netapp = [
        option
        for name, options in vars(netapp).items()
        if name.startswith("netapp_") and isinstance(options, list)
        for option in options
    ]
    for backend in sections["DEFAULT"]["enabled_backends"][0].split(","):
        group = configuration.Configuration(driver.volume_opts, backend.strip())
        group.append_config_values(manager.volume_backend_opts)
        group.append_config_values([*nfs.nfs_opts, *remotefs.nas_opts])
        group.append_config_values([*remotefs.volume_opts, *of_netapp])
    _register_listed(cfg.CONF, LISTED_FOR_BOTH)
    return cfg.CONF


def _register_listed(conf: cfg.ConfigOpts, namespaces: Sequence[str]) -> None:
    for namespace in namespaces:
        (point,) = metadata.entry_points(group="oslo.config.opts", name=namespace)
        for group, options in point.load()():
            conf.register_opts(options, group)


def mistakes(path: str, conf: cfg.ConfigOpts, sections: Sections) -> Iterator[str]:
    """Yield a sentence for each group or option that is unknown, and each bad value."""
    conf([], default_config_files=[path])
    for section, values in sections.items():
        if section != "DEFAULT" and section not in conf:
            yield f"[{section}]: no such group"
            continue
        group = None if section == "DEFAULT" else section
        if "auth_type" in values:
            login = loading.get_plugin_loader(values["auth_type"][0])
            conf.register_opts(loading.get_auth_plugin_conf_options(login), group)
        known = conf if group is None else conf[group]
        for name in values:
            if name not in known:
                yield f"[{section}] {name}: no such option"
                continue
            try:
                known[name]
            except ValueError as error:
                yield f"[{section}] {name}: {error}"


SERVICES: dict[str, Callable[[Sections], cfg.ConfigOpts]] = {
    "glance": glance,
    "cinder": cinder,
}


def main(service: str, path: str) -> int:
    sections: Sections = {"DEFAULT": {}}
    cfg.ConfigParser(path, sections).parse()
    conf = SERVICES[service](sections)
    found = list(mistakes(path, conf, sections))
    for mistake in found:
        print(mistake)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
