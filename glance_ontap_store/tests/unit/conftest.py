# SPDX-License-Identifier: Apache-2.0
import hypothesis

from glance_ontap_store.tests.fakes.fixtures import cloud

__all__ = ["cloud"]

# No test asserts a time, and none leaves files in the tree.
hypothesis.settings.register_profile("unit", deadline=None, database=None)
hypothesis.settings.load_profile("unit")
