# SPDX-License-Identifier: Apache-2.0
"""Configuration of the documentation's build."""

project = "glance_ontap_store"
copyright = "glance_ontap_store developers"
extensions = ["openstackdocstheme", "oslo_config.sphinxext"]
html_theme = "openstackdocs"
html_static_path = ["_static"]
openstackdocs_auto_name = False
openstackdocs_use_storyboard = False
pygments_style = "native"
