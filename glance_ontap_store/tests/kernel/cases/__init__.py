# SPDX-License-Identifier: Apache-2.0
"""The cases, which run inside of the kernel; a module is a set."""
