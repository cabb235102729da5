# SPDX-License-Identifier: Apache-2.0
"""Transfers of this store, measured beside its peers in the lab.

Started with ``tox -e bench``; see doc/source/contributor/benchmarks.rst. Not
installed with the driver.
"""
