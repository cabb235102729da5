# SPDX-License-Identifier: Apache-2.0
"""The command ``glance-ontap``, with which operators look after the stores."""
