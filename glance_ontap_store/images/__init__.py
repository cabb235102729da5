"""The life of an image-volume, and who may do what with it."""
