"""What the store asks of Cinder."""
