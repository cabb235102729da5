# SPDX-License-Identifier: Apache-2.0
"""Replace os-brick's connectors when a service of the lab imports them."""

from typing import Any

import wrapt

_MODULE = "os_brick.initiator.connector"
_OURS = "lab.san_connector.LoopConnector"


def install() -> None:
    """Wait for the import; nothing of os-brick is imported by this."""
    wrapt.register_post_import_hook(replace, _MODULE)


def replace(module: Any) -> None:
    """Put ours in the place of the connectors of iSCSI, FC and NVMe.

    It is asked last for what the host is called, so that its answers count.
    """
    names = module.initiator
    for protocol in (names.ISCSI, names.FIBRE_CHANNEL, names.NVME, names.NVMEOF):
        module._connector_mapping_linux[protocol] = _OURS
    module.unix_connector_list.append(_OURS)
