"""Volumes that are files on an NFS export."""
