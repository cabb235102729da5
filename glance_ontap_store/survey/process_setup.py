# SPDX-License-Identifier: Apache-2.0
"""Set this process up like a glance-api, to mount and attach as the store does."""

from collections.abc import Iterator
import contextlib
import signal

from oslo_config import cfg

from glance_ontap_store import errors
from glance_ontap_store.settings import Settings
from glance_ontap_store.survey.facts import GlanceConfig


def prepare(glance: GlanceConfig) -> None:
    """Load Glance's configuration as the configuration of this process.

    oslo.privsep passes its files on to the helper, and os-brick creates its locks in
    ``lock_path`` of ``[oslo_concurrency]``.
    """
    cfg.CONF(
        [f"--config-dir={path}" for path in glance.directories],
        project="glance",
        default_config_files=list(glance.files),
    )


def start(glance: GlanceConfig, rootwrap_config: str) -> None:
    """Start the helpers that run as root, so that they ignore ctrl-C.

    They are in the process group of this command, and the clean-up needs them. A
    signal that is ignored stays ignored in a new process.

    :raises errors.Broken: they do not start
    """
    from glance_ontap_store.attach import privilege
    from glance_ontap_store.attach.brick import Brick

    prepare(glance)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # os-brick starts its own helper when it looks at this host.
        _ = Brick(rootwrap_config).connector
        if privilege.context.channel is None:
            privilege.context.start()
    except errors.StoreError:
        raise
    except Exception as error:  # privsep raises whatever the helper raised
        raise errors.Broken(
            f"the helper that mounts does not start: {error}. Check"
            f" {rootwrap_config}, its filters and sudo for Glance's user"
        ) from error
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def mounted(glance: GlanceConfig, settings: Settings, export: str) -> Iterator[str]:
    """Mount *export* as a store does while the block runs, and yield the directory.

    :raises errors.Broken: it cannot be mounted
    :raises errors.Misconfigured: the store's mount point base cannot be used
    """
    # Imported late: the command must work, and report it, if os-brick is missing.
    from glance_ontap_store.attach.brick import Brick
    from glance_ontap_store.attach.nfs.mounter import NfsMounter
    from glance_ontap_store.attach.nfs.mounts import Mounts

    prepare(glance)
    Brick(settings.rootwrap_config)
    base = settings.mount_point_base
    mount = Mounts(base, NfsMounter(base)).use(export, settings.nfs_mount_options)
    with contextlib.closing(mount):
        yield mount.path
