# SPDX-License-Identifier: Apache-2.0
"""The way by which Cinder makes a volume from an image, decided from facts. Pure.

The conditions, and their order, are those of cinder/volume/flows/manager/
create_volume.py, cinder/image/glance.py and cinder/volume/drivers/netapp/dataontap
of releases 24 (2024.1) to 29 (2026.2).
"""
