# SPDX-License-Identifier: Apache-2.0
"""Replicas: an image-volume of an image on every FlexVol where volumes are made."""
