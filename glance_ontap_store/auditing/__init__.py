# SPDX-License-Identifier: Apache-2.0
"""Images compared with their image-volumes: judged by values, read, and repaired."""
