# SPDX-License-Identifier: Apache-2.0
"""Volumes of NetApp's block drivers: LUNs and namespaces as devices of this host."""
