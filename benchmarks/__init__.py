# SPDX-License-Identifier: Apache-2.0
"""Benchmarks that compare this store's transfers with upstream's stores, in the lab.

``tox -e bench`` runs them; see doc/source/contributor/benchmarks.rst. They are not
installed with the driver.
"""
