# SPDX-License-Identifier: Apache-2.0
"""A demonstration of the store on real services, with measurements."""
