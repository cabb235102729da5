# SPDX-License-Identifier: Apache-2.0
"""Print the table of codes for doc/source/admin/commands.rst."""

from glance_ontap_store.checks import codes

print(codes.table(), end="")
