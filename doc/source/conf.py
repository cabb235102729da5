# SPDX-License-Identifier: Apache-2.0
"""Configuration of the documentation's build."""

project = "glance_ontap_store"
copyright = "glance_ontap_store developers"
extensions = ["oslo_config.sphinxext", "reno.sphinxext"]
html_theme = "furo"
html_title = "glance_ontap_store"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
# Quotes and ellipses only: a dash of an option, as in --deep, stays what it is.
smartquotes_action = "qe"
# Blocks without a language are commands and their output.
highlight_language = "text"
pygments_style = "friendly"
pygments_dark_style = "native"
