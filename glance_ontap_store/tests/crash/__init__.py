# SPDX-License-Identifier: Apache-2.0
"""Kill a process at each step of each operation, in the lab.

``python -m glance_ontap_store.tests.crash``, inside a lab (``tox -e crash``).
"""
