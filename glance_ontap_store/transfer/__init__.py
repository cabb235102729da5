# SPDX-License-Identifier: Apache-2.0
"""Bytes between Glance's streams and a device; nothing here knows Cinder."""
