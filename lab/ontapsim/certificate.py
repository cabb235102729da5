# SPDX-License-Identifier: Apache-2.0
"""A certificate for HTTPS, made for one run of the simulator."""

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
