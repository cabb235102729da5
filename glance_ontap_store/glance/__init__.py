# SPDX-License-Identifier: Apache-2.0
"""Requests to Glance that change images: copies, locations, removal from a store."""
