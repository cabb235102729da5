"""Bytes between Glance's streams and a device; nothing here knows Cinder."""
