# SPDX-License-Identifier: Apache-2.0
"""Tests with real NFS and iSCSI, in a Linux kernel of their own.

See "Kernel" in ``doc/source/contributor/tests.rst``.
"""
