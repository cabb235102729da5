# SPDX-License-Identifier: Apache-2.0
"""The command ``glance-ontap``: what an operator asks about the stores."""
