# SPDX-License-Identifier: Apache-2.0
"""Keeps Glance images as Cinder image-volumes on NetApp ONTAP."""
