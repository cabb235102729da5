#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.
"""A certificate for HTTPS, made for one run of the simulator."""

from __future__ import annotations

from pathlib import Path
import ssl

import trustme


def make_context(address: str, ca_file: Path) -> ssl.SSLContext:
    """Return a server's TLS context; the CA to trust is written to ``ca_file``.

    The keys stay in memory.
    """
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(address, "localhost").configure_cert(context)
    authority.cert_pem.write_to_path(str(ca_file))
    return context
