# SPDX-License-Identifier: Apache-2.0
"""Read the operator's glance-api.conf and cinder.conf.

Both are read with oslo.config, as the services do, but each into its own registry.
The options of Glance and Cinder that matter are declared below, so that the services
need not be installed beside this command.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import glob
import os
from typing import Any

from oslo_config import cfg

from glance_ontap_store import errors
from glance_ontap_store import opts
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey.facts import CinderBackend
from glance_ontap_store.survey.facts import CinderStoreConfig
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.facts import StoreConfig

TYPE = "ontap"
UPSTREAM_TYPE = "cinder"

_GLANCE = [
    cfg.DictOpt("enabled_backends", default={}),
    cfg.BoolOpt("show_image_direct_url", default=False),
    cfg.BoolOpt("show_multiple_locations", default=False),
    cfg.BoolOpt("delayed_delete", default=False),
]
# Of os-brick and of the services; without its own, os-brick has that of its service.
_LOCKS = ("os_brick", "oslo_concurrency")
_UPSTREAM = [
    cfg.StrOpt("cinder_volume_type"),
    cfg.StrOpt("cinder_mount_point_base", default="/var/lib/glance/mnt"),
]
_CINDER = [
    cfg.ListOpt("enabled_backends", default=[]),
    cfg.ListOpt("allowed_direct_url_schemes", default=[]),
    cfg.StrOpt("cinder_internal_tenant_project_id"),
    cfg.StrOpt("cinder_internal_tenant_user_id"),
    cfg.StrOpt("default_availability_zone"),
    cfg.StrOpt("storage_availability_zone", default="nova"),
]
_CINDER_BACKEND = [
    cfg.StrOpt("volume_driver"),
    cfg.StrOpt("volume_backend_name"),
    cfg.StrOpt("netapp_storage_protocol"),
    cfg.BoolOpt("nfs_qcow2_volumes"),
    cfg.BoolOpt("nfs_sparsed_volumes", default=True),
    cfg.StrOpt("nfs_mount_options"),
    cfg.StrOpt("nas_mount_options"),
    cfg.BoolOpt("netapp_use_legacy_client", default=True),
    cfg.BoolOpt("image_upload_use_cinder_backend", default=False),
    cfg.BoolOpt("image_upload_use_internal_tenant", default=False),
    cfg.StrOpt("nas_secure_file_operations"),
    cfg.StrOpt("nas_secure_file_permissions"),
    cfg.BoolOpt("image_volume_cache_enabled", default=False),
    cfg.StrOpt("netapp_lun_space_reservation", default="enabled"),
]


def read(
    files: Sequence[str], directories: Sequence[str], project: str
) -> cfg.ConfigOpts:
    """Return the parsed files; no option is declared yet.

    :raises errors.Misconfigured: a file cannot be read or parsed
    """
    conf = cfg.ConfigOpts()
    arguments = [f"--config-dir={path}" for path in directories]
    try:
        conf(arguments, project=project, default_config_files=list(files))
    except cfg.Error as error:
        raise errors.Misconfigured(str(error)) from error
    except OSError as error:
        raise errors.Misconfigured(f"{error.filename}: {error.strerror}") from error
    return conf


def secrets_of(conf: cfg.ConfigOpts) -> list[str]:
    """Return the values of all options that are named like secrets, for `masked`.

    All sections are searched, even those whose options are not declared here.
    """
    return [
        value
        for path in conf.config_file + _files_of(conf.config_dir)
        for section in _sections(path).values()
        for name, values in section.items()
        if name.endswith(("password", "secret"))
        for value in values
        if len(value) > 3
    ]


def _files_of(directories: Sequence[str] | None) -> list[str]:
    return sorted(
        path
        for directory in directories or ()
        for path in glob.glob(os.path.join(directory, "*.conf"))
    )


def _sections(path: str) -> dict[str, dict[str, list[str]]]:
    sections: dict[str, dict[str, list[str]]] = {}
    cfg.ConfigParser(path, sections).parse()
    return sections


def glance_config(
    conf: cfg.ConfigOpts, files: Sequence[str], directories: Sequence[str]
) -> GlanceConfig:
    """Return what glance-api.conf says of the stores, without Glance's policies."""
    conf.register_opts(_GLANCE)
    for group in _LOCKS:
        conf.register_opt(cfg.StrOpt("lock_path"), group=group)
    conf.register_opt(cfg.StrOpt("helper_command"), group=opts.HELPER_GROUP)
    conf.register_opt(cfg.StrOpt("flavor"), group="paste_deploy")
    enabled: Mapping[str, str] = conf.enabled_backends
    return GlanceConfig(
        files=tuple(files),
        directories=tuple(directories),
        stores=tuple(
            _store(conf, name) for name, kind in enabled.items() if kind == TYPE
        ),
        cinder_stores=tuple(
            _upstream_store(conf, name)
            for name, kind in enabled.items()
            if kind == UPSTREAM_TYPE
        ),
        kinds=dict(enabled),
        lock_path=conf.oslo_concurrency.lock_path or None,
        brick_lock_path=conf.os_brick.lock_path or None,
        show_image_direct_url=conf.show_image_direct_url,
        show_multiple_locations=conf.show_multiple_locations,
        delays_deletion=conf.delayed_delete,
        helper_command=conf[opts.HELPER_GROUP].helper_command or None,
        # "keystone+caching" and "keystone+cachemanagement", glance/api/middleware.
        has_image_cache="cach" in (conf.paste_deploy.flavor or ""),
    )


def brick_lock_path(conf: cfg.ConfigOpts, project: str) -> str | None:
    """Return the directory of os-brick's locks in a service; None without one.

    :raises errors.Misconfigured: its value cannot be understood
    """
    # Often a part of the value.
    conf.register_opt(cfg.StrOpt("state_path", default=f"/var/lib/{project}"))
    for group in _LOCKS:
        conf.register_opt(cfg.StrOpt("lock_path"), group=group)
    try:
        paths = [conf[group].lock_path for group in _LOCKS]
    except (cfg.Error, ValueError) as error:
        raise errors.Misconfigured(str(error)) from error
    return next((path for path in paths if path), None)


def _store(conf: cfg.ConfigOpts, store_id: str) -> StoreConfig:
    found, mistakes = values(conf, opts.OPTIONS, store_id)
    if mistakes:
        return StoreConfig(store_id, None, tuple(mistakes))
    try:
        settings = Settings.from_options(found, store_id)
    except errors.Misconfigured as error:
        return StoreConfig(store_id, None, (str(error),))
    return StoreConfig(store_id, settings)


def values(
    conf: cfg.ConfigOpts, options: Sequence[cfg.Opt], group: str
) -> tuple[dict[str, Any], list[str]]:
    """Return the values in *group*, or in ``backend_defaults``; and all mistakes."""
    opts.declare(conf, options, group)
    found: dict[str, Any] = {}
    mistakes: list[str] = []
    for option in options:
        try:
            found[option.name] = opts.value(conf, group, option.dest)
        except (cfg.ConfigFileValueError, ValueError) as error:
            mistakes.append(str(error))
    return found, mistakes


def _upstream_store(conf: cfg.ConfigOpts, store_id: str) -> CinderStoreConfig:
    opts.declare(conf, _UPSTREAM, store_id)
    return CinderStoreConfig(
        store_id,
        opts.value(conf, store_id, "cinder_volume_type"),
        opts.value(conf, store_id, "cinder_mount_point_base"),
    )


def cinder_backends(conf: cfg.ConfigOpts) -> tuple[CinderBackend, ...]:
    """Return the enabled back ends of cinder.conf."""
    conf.register_opts(_CINDER)
    return tuple(_backend(conf, section) for section in conf.enabled_backends)


def _backend(conf: cfg.ConfigOpts, section: str) -> CinderBackend:
    opts.declare(conf, _CINDER_BACKEND, section)
    return CinderBackend(
        section=section,
        driver=opts.value(conf, section, "volume_driver"),
        # Cinder's default is the name of the driver's class, which no type asks for.
        backend_name=opts.value(conf, section, "volume_backend_name"),
        protocol=opts.value(conf, section, "netapp_storage_protocol"),
        qcow2=bool(opts.value(conf, section, "nfs_qcow2_volumes")),
        is_sparse=opts.value(conf, section, "nfs_sparsed_volumes"),
        uses_zapi=opts.value(conf, section, "netapp_use_legacy_client"),
        # As cinder/volume/drivers/nfs.py chooses them.
        mount_options=opts.value(conf, section, "nas_mount_options")
        or opts.value(conf, section, "nfs_mount_options")
        or "",
        is_cloning_uploads=opts.value(conf, section, "image_upload_use_cinder_backend"),
        is_internal=opts.value(conf, section, "image_upload_use_internal_tenant"),
        secure_operations=_secure(conf, section, "nas_secure_file_operations"),
        secure_permissions=_secure(conf, section, "nas_secure_file_permissions"),
        caches_images=opts.value(conf, section, "image_volume_cache_enabled"),
        reserves_space=opts.value(conf, section, "netapp_lun_space_reservation")
        == "enabled",
    )


def internal_project(conf: cfg.ConfigOpts) -> str | None:
    """Return the project of Cinder's own volumes; None if its user is not set."""
    conf.register_opts(_CINDER)
    found: str | None = conf.cinder_internal_tenant_project_id
    return found if conf.cinder_internal_tenant_user_id else None


def default_zone(conf: cfg.ConfigOpts) -> str:
    """Return the availability zone of a volume that asks for none."""
    conf.register_opts(_CINDER)
    zone: str = conf.default_availability_zone or conf.storage_availability_zone
    return zone


def _secure(conf: cfg.ConfigOpts, section: str, name: str) -> str:
    # Cinder reads it without regard to case (remotefs.py).
    return str(opts.value(conf, section, name) or "auto").lower()


def direct_url_schemes(conf: cfg.ConfigOpts) -> tuple[str, ...]:
    """Return the schemes of the locations from which Cinder clones."""
    conf.register_opts(_CINDER)
    return tuple(conf.allowed_direct_url_schemes)


def sends_service_token(conf: cfg.ConfigOpts) -> bool:
    """Return whether Cinder sends a service token along with its user's tokens."""
    option = cfg.BoolOpt("send_service_user_token", default=False)
    conf.register_opt(option, group="service_user")
    return bool(conf.service_user.send_service_user_token)


def masked(text: str, secrets: Sequence[str]) -> str:
    """Return *text* with every one of *secrets* replaced by ``***``."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
