# SPDX-License-Identifier: Apache-2.0
"""What the store measures of itself, and the way to a library that keeps it."""
