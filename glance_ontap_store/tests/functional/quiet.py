# SPDX-License-Identifier: Apache-2.0
"""What a module of tests may not leave in the lab."""

import os

from glance_ontap_store.tests.functional import direct
from lab import stores
from lab.client import Lab
from lab.polling import wait_until

# A reader of a test may linger for some seconds.
_TIMEOUT_S = 60


class Remains:
    """Attachments in Cinder and connections of this host: those since its creation."""

    def __init__(self, lab: Lab) -> None:
        self._admin = lab.cloud("admin")
        self._base = os.path.realpath(stores.option("fv1", "ontap_mount_point_base"))
        self._known = self._present()

    def must_end(self) -> None:
        """Wait until nothing is left.

        :raises TimeoutError: something still is; names it
        """
        wait_until(
            lambda: not self.found(),
            "the module has left no attachment and no connection",
            timeout_s=_TIMEOUT_S,
            state=self.found,
        )

    def found(self) -> set[str]:
        """Return what is left: mounts, devices, and attachments with their volumes."""
        return self._present() - self._known

    def _present(self) -> set[str]:
        answer = self._admin.block_storage.get(
            "/attachments/detail?all_tenants=1", microversion="3.54"
        )
        assert answer.status_code == 200, answer.text
        attachments = {
            f"attachment {each['id']} of volume {each['volume_id']}: {each['status']}"
            for each in answer.json()["attachments"]
        }
        return attachments | direct.connected(self._base)
