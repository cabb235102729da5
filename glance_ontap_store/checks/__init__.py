# SPDX-License-Identifier: Apache-2.0
"""Judge the facts that a survey found."""
