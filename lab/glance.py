# SPDX-License-Identifier: Apache-2.0
"""The lab's Glance: configuration with all stores, database, processes.

Beside ``glance`` there are services that start on demand only. They have the same
database, stores and mounts, and the configuration that ``glance`` has when they start,
with a few options of their own:

=====================  ===========================================================
``glance-second``      another glance-api of the same kind
``glance-internal``    shows the location of images (``show_image_direct_url``), as
                       Cinder before 2025.2 needs it
``glance-standalone``  the program glance-api under eventlet instead of uWSGI, which
                       Glance has until 2026.1
``glance-locations``   lets administrators set locations (``show_multiple_locations``)
``glance-ours``        has no store of upstream's type ``cinder``
=====================  ===========================================================
"""

import configparser
from importlib import metadata
import shutil
import subprocess

from lab import databases
from lab import ini
from lab import keystone
from lab import paste
from lab import rootwrap
from lab import san
from lab import uwsgi
from lab.ini import Value
from lab.layout import CHECKOUT
from lab.layout import HOST
from lab.layout import REGION
from lab.layout import Layout
from lab.layout import environment_bin
from lab.services import Service
from lab.services import answers
from lab.services import run_step

CONFIG = "/etc/glance/glance-api.conf"
SECOND = "glance-second"
INTERNAL = "glance-internal"
STANDALONE = "glance-standalone"
OURS = "glance-ours"
LOCATIONS = "glance-locations"
MORE = (SECOND, INTERNAL, STANDALONE, OURS, LOCATIONS)
# The last major version of Glance with the standalone server.
LAST_STANDALONE = 32
# Upstream's cinder stores, and the FlexVols that their volume types are pinned to.
PEERS = {"peer": "fv1", san.PEER: "iscsi1"}
WORKERS = 2
THREADS = 6
FILE_STORE_SIZE = "16G"
# The line of doc/source/admin/locations.rst.
POLICY = '"fetch_image_location": "role:service or service_roles:service"\n'
OUR_FILTERS = CHECKOUT / "etc/glance/rootwrap.d"


def write_config(lab: Layout) -> None:
    data = lab.data / "glance"
    types = {**dict.fromkeys(PEERS, "cinder"), "file": "file"}
    enabled = [f"{store}:{types.get(store, 'ontap')}" for store in lab.stores]
    sections: dict[str, dict[str, Value]] = {
        "DEFAULT": {
            "enabled_backends": enabled,
            "enabled_import_methods": "[glance-direct,web-download,copy-image]",
            "worker_self_reference_url": lab.url("glance"),
            "show_multiple_locations": False,
            "use_stderr": True,
            "log_file": "",
        },
        "database": {
            "connection": databases.url(lab.data / "glance.sqlite"),
            "sqlite_synchronous": False,
        },
        "glance_store": {"default_backend": lab.stores[0]},
        "os_glance_staging_store": {"filesystem_store_datadir": data / "staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": data / "tasks"},
        "keystone_authtoken": keystone.authtoken(lab, "glance"),
        "paste_deploy": {
            "flavor": "keystone",
            "config_file": "/etc/glance/glance-api-paste.ini",
        },
        "oslo_concurrency": {"lock_path": data / "locks"},
        # For web-download from a test's own server, which has any port.
        "import_filtering_opts": {
            "allowed_ports": "[]",
            "allowed_hosts": "[127.0.0.1]",
        },
    }
    for store in lab.stores:
        sections[store] = _store(lab, store)
    directory = lab.configs / "glance"
    ini.write(directory / "glance-api.conf", sections)
    (directory / "policy.yaml").write_text(POLICY, encoding="utf-8")
    # image_import_plugins = [image_conversion] in glance-api.conf, which is read
    # later and wins, switches the conversion on.
    ini.write(
        directory / "glance-image-import.conf",
        {
            "image_import_opts": {"image_import_plugins": "[no_op]"},
            "image_conversion": {"output_format": "raw"},
        },
    )
    (directory / "glance-api-paste.ini").write_text(
        paste.with_request_log(
            rootwrap.SHIPPED / "glance" / "glance-api-paste.ini",
            lab.requests("glance"),
        ),
        encoding="utf-8",
    )
    rootwrap.install(
        rootwrap.SHIPPED / "glance", directory, sorted(OUR_FILTERS.glob("*.filters"))
    )
    for name in ("staging", "tasks", "locks", "file", "ontap-mnt", "cinder-mnt"):
        (data / name).mkdir(parents=True, exist_ok=True)
    lab.requests("glance").touch()


def _store(lab: Layout, store: str) -> dict[str, Value]:
    """Return the options of a store's section."""
    data = lab.data / "glance"
    if store == "file":
        return {"filesystem_store_datadir": data / "file"}
    user = f"image-{store}"
    if store in PEERS:
        return {
            "cinder_volume_type": f"ontap-{PEERS[store]}",
            "cinder_catalog_info": "volumev3::internalURL",
            "cinder_store_auth_address": lab.url("keystone"),
            "cinder_store_user_name": user,
            "cinder_store_password": lab.passwords[user],
            "cinder_store_project_name": "service",
            "cinder_os_region_name": REGION,
            "cinder_mount_point_base": data / "cinder-mnt",
            "rootwrap_config": "/etc/glance/rootwrap.conf",
        }
    own: dict[str, Value] = (
        {"ontap_image_volume_owner": "project"}
        if store == "own"
        else {"ontap_replica_volume_type": "ontap"}
    )
    return {
        **own,
        "ontap_volume_type": f"ontap-{store}",
        "ontap_store_auth_address": lab.url("keystone"),
        "ontap_store_user_name": user,
        "ontap_store_password": lab.passwords[user],
        "ontap_store_project_name": "service",
        "ontap_os_region_name": REGION,
        "ontap_mount_point_base": data / "ontap-mnt",
        "ontap_rootwrap_config": "/etc/glance/rootwrap.conf",
    }


def prepare(lab: Layout, environment: dict[str, str]) -> bool:
    """Make the database, and the file store's file system.

    Return whether the database's schema was ready-made.
    """
    _mount_file_store(lab)
    manage = [str(environment_bin() / "glance-manage"), "--config-file", CONFIG]
    metadefs = str(rootwrap.SHIPPED / "glance" / "metadefs")

    def migrate() -> None:
        for command in (["db", "sync"], ["db", "load_metadefs", "--path", metadefs]):
            run_step(
                "glance", [*manage, *command], environment, lab.log("glance-setup")
            )

    return databases.prepare("glance", lab.data / "glance.sqlite", migrate, "metadefs")


def _mount_file_store(lab: Layout) -> None:
    """Give upstream's file store a file system like those of the FlexVols."""
    image = lab.data / "glance-file-store.xfs"
    with image.open("wb"):
        pass
    for command in (
        ["truncate", "-s", FILE_STORE_SIZE, str(image)],
        ["mkfs.xfs", "-q", "-K", "-m", "reflink=1", str(image)],
        ["mount", "-n", "-o", "loop", str(image), str(lab.data / "glance" / "file")],
    ):
        subprocess.run(command, check=True, capture_output=True)


def service(lab: Layout, environment: dict[str, str]) -> Service:
    return _under_uwsgi(lab, "glance", environment)


def more_services(lab: Layout, environment: dict[str, str]) -> list[Service]:
    """Return the services that start on demand, those that this release has."""
    made = [_under_uwsgi(lab, name, environment) for name in MORE if name != STANDALONE]
    if has_standalone():
        made.append(_standalone(lab, environment))
    return made


def has_standalone() -> bool:
    """Return whether this release of Glance has the server under eventlet."""
    return int(metadata.version("glance").partition(".")[0]) <= LAST_STANDALONE


def _under_uwsgi(lab: Layout, name: str, environment: dict[str, str]) -> Service:
    application = uwsgi.entry_point(
        "glance.wsgi.api", "glance.common.wsgi_app:init_app"
    )
    own = {} if name == "glance" else {"OS_GLANCE_CONFIG_DIR": f"/etc/glance/{name}"}
    return Service(
        name=name,
        argv=uwsgi.command(application, lab.ports[name], WORKERS, THREADS),
        environment=environment | own,
        log=lab.log(name),
        ready=uwsgi.ready(f"{lab.url(name)}/v2/", WORKERS, (200, 401)),
        before_start=lambda: _write_own_config(lab, name),
    )


def _standalone(lab: Layout, environment: dict[str, str]) -> Service:
    argv = [str(environment_bin() / "glance-api")]
    for file in ("glance-image-import.conf", "glance-api.conf"):
        argv += ["--config-file", f"/etc/glance/{STANDALONE}/{file}"]
    return Service(
        name=STANDALONE,
        argv=argv,
        environment=environment,
        log=lab.log(STANDALONE),
        ready=lambda _: answers(f"{lab.url(STANDALONE)}/v2/", (200, 401)),
        before_start=lambda: _write_own_config(lab, STANDALONE),
    )


def _write_own_config(lab: Layout, name: str) -> None:
    """Write the configuration of a service that starts on demand."""
    if name == "glance":
        return
    first = lab.configs / "glance"
    directory = first / name
    data = lab.data / name
    for kind in ("staging", "cache"):
        (data / kind).mkdir(parents=True, exist_ok=True)
    directory.mkdir(exist_ok=True)
    # Glance 28 expects the second one there too.
    for file in ("glance-image-import.conf", "glance-api-paste.ini"):
        shutil.copy(first / file, directory)
    text = (first / "glance-api.conf").read_text(encoding="utf-8")
    own: list[tuple[str, str, Value]] = [
        ("DEFAULT", "worker_self_reference_url", lab.url(name)),
        ("os_glance_staging_store", "filesystem_store_datadir", data / "staging"),
    ]
    if "image_cache_dir" in text:
        own.append(("DEFAULT", "image_cache_dir", data / "cache"))
    if name == INTERNAL:
        own.append(("DEFAULT", "show_image_direct_url", True))
    if name == LOCATIONS:
        own.append(("DEFAULT", "show_multiple_locations", True))
    if name == OURS:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(text)
        enabled = parser["DEFAULT"]["enabled_backends"].split(",")
        kept = [each for each in enabled if not each.endswith(":cinder")]
        own.append(("DEFAULT", "enabled_backends", kept))
    if name == STANDALONE:
        own += [
            ("DEFAULT", "bind_host", HOST),
            ("DEFAULT", "bind_port", lab.ports[name]),
            ("DEFAULT", "workers", WORKERS),
        ]
    for group, option, value in own:
        text = ini.set_option(text, group, option, value)
    path = directory / "glance-api.conf"
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
