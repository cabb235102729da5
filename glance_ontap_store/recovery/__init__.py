# SPDX-License-Identifier: Apache-2.0
"""Releases in Cinder and on this host what dead processes, or failures, left."""
