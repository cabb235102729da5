# SPDX-License-Identifier: Apache-2.0
"""Which processes of this host live, and what each of them holds in Cinder."""
