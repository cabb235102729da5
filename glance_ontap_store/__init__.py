"""Keeps Glance images as Cinder image-volumes on NetApp ONTAP."""
