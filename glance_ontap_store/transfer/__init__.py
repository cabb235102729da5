# SPDX-License-Identifier: Apache-2.0
"""Move bytes between Glance's streams and a device, without knowing Cinder."""
