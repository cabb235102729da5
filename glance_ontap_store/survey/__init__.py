# SPDX-License-Identifier: Apache-2.0
"""Facts about the stores, this host, Keystone and Cinder, as values."""
