"""Judges the facts that a survey found."""
