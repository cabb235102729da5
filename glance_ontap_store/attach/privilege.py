# SPDX-License-Identifier: Apache-2.0
"""The three things that need root: mount, umount, and chown of a volume's file.

They run in an oslo.privsep daemon with these capabilities and nothing else;
``etc/glance/rootwrap.d/glance_ontap_store.filters`` lets it start.
"""

import os
import shlex

from oslo_concurrency import processutils
from oslo_privsep import capabilities
from oslo_privsep import priv_context

context = priv_context.PrivContext(
    "glance_ontap_store",
    cfg_section="privsep_ontap",
    pypath=f"{__name__}.context",
    capabilities=[
        capabilities.CAP_CHOWN,
        capabilities.CAP_DAC_READ_SEARCH,
        capabilities.CAP_SYS_ADMIN,
    ],
)


def init(rootwrap_config: str) -> None:
    """Say how the daemon is started; it starts at the first call.

    The setting is the process's, shared with upstream's cinder store, which
    sets the same.
    """
    priv_context.init(root_helper=shlex.split(root_helper(rootwrap_config)))


def root_helper(rootwrap_config: str) -> str:
    """The command prefix that runs a command as root on a Glance host."""
    return f"sudo glance-rootwrap {rootwrap_config}"


@context.entrypoint
def mount(*arguments: str) -> tuple[str, str]:
    """Run mount(8); its output and error output.

    :raises processutils.ProcessExecutionError: it failed
    """
    result: tuple[str, str] = processutils.execute("mount", *arguments)
    return result


@context.entrypoint
def unmount(path: str) -> None:
    """Run umount(8).

    :raises processutils.ProcessExecutionError: it failed, perhaps busy
    """
    processutils.execute("umount", path)


@context.entrypoint
def change_owner(path: str, uid: int) -> None:
    """Give the file to *uid*; symbolic links are not followed.

    :raises OSError: on NFS also where the export squashes root
    """
    os.chown(path, uid, -1, follow_symlinks=False)
