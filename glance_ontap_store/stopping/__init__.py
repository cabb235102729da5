# SPDX-License-Identifier: Apache-2.0
"""The end of a process: its transfers end first, within a bound."""
