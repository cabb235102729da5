# SPDX-License-Identifier: Apache-2.0
"""What crashes and faults left behind: judged by values, then removed."""
