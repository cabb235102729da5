"""What the store does, shown on real services and measured while it happens."""
