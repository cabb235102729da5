# SPDX-License-Identifier: Apache-2.0
from glance_ontap_store.tests.fakes.fixtures import cloud

__all__ = ["cloud"]
