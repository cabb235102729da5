"""From a Cinder volume to a file or device of this host, and back."""
