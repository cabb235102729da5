# SPDX-License-Identifier: Apache-2.0
"""From a Cinder volume to a file or device of this host, and back."""
