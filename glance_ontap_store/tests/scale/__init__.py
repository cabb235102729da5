# SPDX-License-Identifier: Apache-2.0
"""The commands with many stores and image-volumes.

``python -m glance_ontap_store.tests.scale``, over the fakes (``tox -e scale``).
"""
