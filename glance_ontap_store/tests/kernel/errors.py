# SPDX-License-Identifier: Apache-2.0
"""The error of the kernel tests themselves."""


class Unusable(Exception):
    """The kernel cannot be had on this machine, or does not run."""
