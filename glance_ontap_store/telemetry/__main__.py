# SPDX-License-Identifier: Apache-2.0
"""Print the tables of metrics for doc/source/admin/metrics.rst."""

from glance_ontap_store.telemetry import catalogue

print(catalogue.tables(), end="")
