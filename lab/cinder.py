# SPDX-License-Identifier: Apache-2.0
"""The lab's Cinder: configuration, database, processes, volume types."""

from collections.abc import Callable
from collections.abc import Sequence
from importlib import metadata
import secrets

from keystoneauth1 import exceptions
from keystoneauth1 import session

from lab import databases
from lab import ini
from lab import keystone
from lab import paste
from lab import rabbitmq
from lab import rootwrap
from lab import san
from lab import simulator
from lab import svms
from lab.errors import ServiceFailed
from lab.errors import Unusable
from lab.ini import Value
from lab.layout import HOST
from lab.layout import Layout
from lab.layout import environment_bin
from lab.polling import wait_until
from lab.services import Service
from lab.services import answers
from lab.services import run_step
from lab.services import tail
from lab.svms import Svm

CONFIG = "/etc/cinder/cinder.conf"
EMBEDDED = "cinder"
STOCK = ("cinder-api", "cinder-scheduler", "cinder-volume")
# A service of the stock flavour that starts on demand only.
BACKUP = "cinder-backup"
# The first major version of Cinder whose services embedded_cinder.py can start.
EMBEDDED_SINCE = 29


def write_config(lab: Layout) -> None:
    data = lab.data / "cinder"
    directory = lab.configs / "cinder"
    backends = _backends(lab)
    transport = "fake:/"
    if lab.broker:
        secret = lab.passwords["rabbit"]
        transport = f"rabbit://{rabbitmq.USER}:{secret}@{HOST}:{lab.ports['amqp']}/"
    ini.write(
        directory / "cinder.conf",
        {
            "DEFAULT": {
                "host": "lab",
                "my_ip": HOST,
                "transport_url": transport,
                "auth_strategy": "keystone",
                "api_paste_config": "/etc/cinder/api-paste.ini",
                "rootwrap_config": "/etc/cinder/rootwrap.conf",
                "state_path": data,
                "osapi_volume_listen": HOST,
                "osapi_volume_listen_port": lab.ports["cinder"],
                "osapi_volume_workers": 1,
                "enabled_backends": list(backends),
                "default_volume_type": "ontap",
                "allowed_direct_url_schemes": "cinder",
                "glance_api_servers": lab.url("glance"),
                "glance_num_retries": 1,
                "quota_volumes": 10000,
                "quota_snapshots": 10000,
                "quota_gigabytes": 1000000,
                "quota_backup_gigabytes": 1000000,
                # Read only by cinder-backup, which keeps so much in memory.
                "backup_driver": "cinder.backup.drivers.posix.PosixBackupDriver",
                "backup_posix_path": data / "backup",
                "backup_file_size": 64 * 1024 * 1024,
                "backup_compression_algorithm": "zstd",
                "use_stderr": True,
                # A backend reports at once, not after a random delay.
                "periodic_fuzzy_delay": 0,
            },
            "database": {
                "connection": databases.url(lab.data / "cinder.sqlite"),
                "sqlite_synchronous": False,
            },
            "keystone_authtoken": keystone.authtoken(lab, "cinder"),
            # [glance] has no credentials: Glance's policy accepts the service token.
            "service_user": {
                **keystone.credentials(lab, "cinder"),
                "send_service_user_token": True,
            },
            "oslo_concurrency": {"lock_path": data / "locks"},
            # For tests with a volume type that encrypts.
            "key_manager": {
                "backend": "cinder.keymgr.conf_key_mgr.ConfKeyManager",
                "fixed_key": secrets.token_hex(32),
            },
            "coordination": {"backend_url": f"file://{data}/coordination"},
            **backends,
        },
    )
    for svm in lab.svms:
        (directory / f"{svm.backend}_shares").write_text(
            "".join(f"{share}\n" for share in svm.shares), encoding="utf-8"
        )
    (directory / "api-paste.ini").write_text(
        paste.with_request_log(
            rootwrap.SHIPPED / "cinder" / "api-paste.ini", lab.requests("cinder")
        ),
        encoding="utf-8",
    )
    for path in (rootwrap.SHIPPED / "cinder").glob("*.json"):
        (directory / path.name).write_bytes(path.read_bytes())
    rootwrap.install(
        rootwrap.SHIPPED / "cinder",
        directory,
        sorted((rootwrap.SHIPPED / "os-brick" / "rootwrap.d").glob("*.filters")),
    )
    for name in ("locks", "coordination", "mnt", "conversion", "backup"):
        (data / name).mkdir(parents=True, exist_ok=True)
    lab.requests("cinder").touch()


def _backends(lab: Layout) -> dict[str, dict[str, Value]]:
    """Return the options of each back end by its name."""
    found = {svm.backend: _backend(lab, svm) for svm in lab.svms}
    if lab.san:
        found |= san.backends(_nfs_backend(lab, lab.svms[0]))
    return found


def _backend(lab: Layout, svm: Svm) -> dict[str, Value]:
    """Return the options of the back end of an SVM."""
    nfs = _nfs_backend(lab, svm)
    return nfs if svm.protocol == "nfs" else san.backend(nfs, svm.protocol)


def _nfs_backend(lab: Layout, svm: Svm) -> dict[str, Value]:
    return {
        "volume_driver": "cinder.volume.drivers.netapp.common.NetAppDriver",
        "volume_backend_name": svm.backend,
        "netapp_storage_family": "ontap_cluster",
        "netapp_storage_protocol": "nfs",
        "netapp_server_hostname": HOST,
        "netapp_server_port": lab.ports["ontap"],
        "netapp_transport_type": "http",
        "netapp_login": simulator.ADMIN,
        "netapp_password": lab.passwords["ontap"],
        "netapp_vserver": svm.name,
        "netapp_use_legacy_client": False,
        "netapp_allow_zapi_fallback": False,
        "nfs_shares_config": f"/etc/cinder/{svm.backend}_shares",
        "nfs_mount_point_base": lab.data / "cinder" / "mnt",
        # A copy that hangs is given up after half a minute, not an hour.
        **({"netapp_migrate_volume_timeout": 30} if len(lab.svms) > 1 else {}),
        # "auto" becomes true: Cinder has no volume yet when it starts.
        "nas_secure_file_operations": "auto" if lab.secure_nfs else False,
        "nas_secure_file_permissions": "auto" if lab.secure_nfs else False,
    }


def prepare(lab: Layout, environment: dict[str, str]) -> bool:
    """Make the database; return whether its schema was ready-made."""
    manage = [str(environment_bin() / "cinder-manage"), "--config-file", CONFIG]
    return databases.prepare(
        "cinder",
        lab.data / "cinder.sqlite",
        lambda: run_step(
            "cinder", [*manage, "db", "sync"], environment, lab.log("cinder-setup")
        ),
    )


def services(lab: Layout, environment: dict[str, str]) -> list[Service]:
    """Return Cinder's services: one process in the embedded flavour, else three.

    :raises Unusable: the embedded flavour does not know this release
    """

    def api_answers(_: Service) -> bool:
        return answers(f"http://{HOST}:{lab.ports['cinder']}/", (200, 300))

    def drivers_are_up(service: Service) -> bool:
        done = service.log_count("Driver initialization completed successfully")
        return done >= len(_backends(lab))

    def listens(service: Service) -> bool:
        return service.log_count("Starting cinder-scheduler node") > 0

    def make(name: str, ready: Callable[[Service], bool], argv: list[str]) -> Service:
        return Service(name, argv, environment, lab.log(name), ready)

    if not lab.broker:
        require_embeddable(metadata.version("cinder"))
        python = str(environment_bin() / "python3")
        module = "lab.embedded_cinder"
        return [make(EMBEDDED, api_answers, [python, "-m", module, CONFIG])]
    ready = {
        "cinder-api": api_answers,
        "cinder-volume": drivers_are_up,
        "cinder-scheduler": listens,
    }
    return [
        make(
            name,
            ready[name],
            [str(environment_bin() / name), "--config-file", CONFIG],
        )
        for name in STOCK
    ]


def backup_service(lab: Layout, environment: dict[str, str]) -> Service:
    """Return cinder-backup; the backups lie in a directory of the lab."""
    return Service(
        BACKUP,
        [str(environment_bin() / BACKUP), "--config-file", CONFIG],
        environment,
        lab.log(BACKUP),
        lambda service: service.log_count("Starting cinder-backup node") > 0,
    )


def require_embeddable(version: str) -> None:
    """Refuse a version of Cinder that has another launcher than the newest.

    :raises Unusable: names the option that helps
    """
    if int(version.partition(".")[0]) < EMBEDDED_SINCE:
        raise Unusable(
            f"the embedded flavour needs Cinder {EMBEDDED_SINCE} (2026.2), and this "
            f"environment has Cinder {version}. Use the stock flavour: --broker"
        )


def wait_for_pools(lab: Layout, admin: session.Session, timeout_s: float = 60) -> None:
    """Return when the scheduler knows a pool for each FlexVol.

    :raises ServiceFailed: not in time; shows the end of the volume service's log
    """
    known: set[str] = set()

    def are_known() -> bool:
        nonlocal known
        known = _pools(lab, admin)
        return known == expected_pools(lab.svms, lab.san)

    try:
        wait_until(
            are_known,
            "Cinder's scheduler knows a pool for each FlexVol",
            timeout_s,
            state=lambda: f"it knows {sorted(known)}",
        )
    except TimeoutError as error:
        name = "cinder-volume" if lab.broker else EMBEDDED
        raise ServiceFailed(name, str(error), tail(lab.log(name))) from error


def _pools(lab: Layout, admin: session.Session) -> set[str]:
    """Return the names of the pools that the scheduler knows; empty if it cannot say.

    A question asked before the scheduler listens is lost, and Cinder's API waits a
    minute for the answer. Hence the short timeout.
    """
    url = f"{lab.url('cinder')}/{admin.get_project_id()}/scheduler-stats/get_pools"
    try:
        found = admin.get(url, timeout=3, connect_retries=0).json()["pools"]
    except exceptions.ClientException:
        return set()
    return {pool["name"] for pool in found}


def expected_pools(
    of: Sequence[Svm] = (svms.FIRST,), with_san: bool = False
) -> set[str]:
    """Return the name of each FlexVol's pool."""
    pools = {f"lab@{svm.backend}#{pool}" for svm in of for pool in svm.pools}
    return pools | (san.pools() if with_san else set())


def create_volume_types(lab: Layout, admin: session.Session) -> None:
    """Create a type for each back end, of its name, and those pinned to a FlexVol.

    With two back ends there is type ``any`` too, which leaves the choice to Cinder.
    """
    url = f"{lab.url('cinder')}/{admin.get_project_id()}/types"
    types: dict[str, dict[str, str]] = {} if len(lab.svms) == 1 else {"any": {}}
    for svm in lab.svms:
        specs = {"volume_backend_name": svm.backend}
        types[svm.backend] = specs
        for name, path in svm.types:
            types[f"ontap-{name}"] = {**specs, "pool_name": svm.pool(path)}
    if lab.san:
        types |= san.volume_types()
    for name, specs in types.items():
        admin.post(url, json={"volume_type": {"name": name, "extra_specs": specs}})
