# SPDX-License-Identifier: Apache-2.0
"""Volumes that are files on an NFS export."""
