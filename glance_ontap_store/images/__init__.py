# SPDX-License-Identifier: Apache-2.0
"""The life of an image-volume, and who may do what with it."""
