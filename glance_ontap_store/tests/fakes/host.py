# SPDX-License-Identifier: Apache-2.0
"""A host, without os-brick."""

from collections.abc import Mapping
from typing import Any


class FakeHost:
    """`attach.attacher.Host`."""

    def forget(self) -> None:
        pass

    @property
    def connector(self) -> Mapping[str, Any]:
        return {
            "host": "glance-1",
            "ip": "192.0.2.10",
            "multipath": False,
            "initiator": "iqn.1994-05.com.example:glance-1",
            "wwpns": ["2100000000000001"],
            "nqn": "nqn.2014-08.org.nvmexpress:uuid:glance-1",
            "os_type": "linux",
            "platform": "x86_64",
        }
