"""Facts about the stores, this host, Keystone and Cinder, as values."""
