# SPDX-License-Identifier: Apache-2.0
"""The store's own parts in this process, with the way to root that Glance has."""

from collections.abc import Iterator
import contextlib
import signal

from oslo_config import cfg

from glance_ontap_store import errors
from glance_ontap_store.survey.facts import GlanceConfig


def prepare(glance: GlanceConfig) -> None:
    """Make this process one that oslo.privsep and os-brick take for glance-api.

    Both read the process's configuration: privsep passes its files on to the
    helper, os-brick takes its locks where ``[oslo_concurrency]`` says.
    """
    cfg.CONF(
        [f"--config-dir={each}" for each in glance.directories],
        project="glance",
        default_config_files=list(glance.files),
    )


def start(glance: GlanceConfig, rootwrap_config: str) -> None:
    """Start the helpers that run as root.

    They are of the same process group as this command: ctrl-C must not end what
    the clean-up needs. A signal that is ignored stays so in a new process.

    :raises errors.Broken: they do not start
    """
    from glance_ontap_store.attach import privilege
    from glance_ontap_store.attach.brick import Brick

    prepare(glance)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # Its question to this host has os-brick start a helper of its own.
        _ = Brick(rootwrap_config).connector
        if privilege.context.channel is None:
            privilege.context.start()
    except errors.StoreError:
        raise
    except Exception as error:  # privsep raises what it gets
        raise errors.Broken(
            f"the helper that mounts does not start: {error}. Check"
            f" {rootwrap_config}, its filters and sudo for Glance's user"
        ) from error
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def mounted(glance: GlanceConfig, base: str, export: str) -> Iterator[str]:
    """The directory where *export* is mounted, while the block runs.

    :raises errors.Broken: it cannot be mounted
    :raises errors.Misconfigured: *base* cannot be used
    """
    # Where os-brick is missing, the command must still be able to say so.
    from glance_ontap_store.attach.brick import Brick
    from glance_ontap_store.attach.nfs.mounter import NfsMounter
    from glance_ontap_store.attach.nfs.mounts import Mounts

    prepare(glance)
    config = next(
        each.settings.rootwrap_config
        for each in glance.stores
        if each.settings and each.settings.mount_point_base == base
    )
    Brick(config)
    mount = Mounts(base, NfsMounter(base)).use(export, "")
    with contextlib.closing(mount):
        yield mount.path
