# SPDX-License-Identifier: Apache-2.0
"""Configuration of the release notes' build."""

project = "glance_ontap_store release notes"
copyright = "glance_ontap_store developers"
extensions = ["reno.sphinxext"]
html_theme = "furo"
html_title = "glance_ontap_store release notes"
html_copy_source = False
smartquotes_action = "qe"
