# SPDX-License-Identifier: Apache-2.0
"""Requests to Cinder, and the waits and the clean-up around them."""
