# SPDX-License-Identifier: Apache-2.0
"""What the store does, shown on real services and measured while it happens."""
