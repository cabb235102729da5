# SPDX-License-Identifier: Apache-2.0
"""A soak: processes of two hosts use stores while services fail and processes die.

``python -m glance_ontap_store.tests.soak``, inside a lab (``tox -e soak``).
"""
