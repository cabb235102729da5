# SPDX-License-Identifier: Apache-2.0
"""What the store asks of Cinder."""
