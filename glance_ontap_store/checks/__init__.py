# SPDX-License-Identifier: Apache-2.0
"""Judges the facts that a survey found."""
