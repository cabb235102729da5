# SPDX-License-Identifier: Apache-2.0
"""Configuration of the release notes' build."""

project = "glance_ontap_store release notes"
copyright = "glance_ontap_store developers"
extensions = ["openstackdocstheme", "reno.sphinxext"]
html_theme = "openstackdocs"
openstackdocs_auto_name = False
pygments_style = "native"
