# SPDX-License-Identifier: Apache-2.0
"""A host, without os-brick."""

from collections.abc import Mapping
from typing import Any


class FakeHost:
    """`attach.attacher.Host`."""

    @property
    def connector(self) -> Mapping[str, Any]:
        return {
            "host": "glance-1",
            "ip": "192.0.2.10",
            "multipath": False,
            "os_type": "linux",
            "platform": "x86_64",
        }
