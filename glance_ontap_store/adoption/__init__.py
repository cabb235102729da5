# SPDX-License-Identifier: Apache-2.0
"""Take images over from other stores: plan, and do it.

`adoption.plan` decides and sends no requests; `adoption.glance` asks Glance;
`adoption.in_place` and `adoption.copying` do the work.
"""
