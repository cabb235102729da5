"""What a transfer needs of the place where an image lies."""

from typing import Protocol


class Device(Protocol):
    """Bytes at positions; several threads may use it at once.

    Errors of the operating system leave as OSError.
    """

    # For messages: where it is.
    name: str

    def read_at(self, offset: int, length: int) -> bytes:
        """At most *length* bytes; fewer only at the end."""

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        """All of *data*; *data* is not kept."""

    def length(self) -> int:
        """In bytes."""

    def set_length(self, length: int) -> None:
        """Cut, or grow with zeros, to *length* bytes."""

    def sync(self) -> None:
        """Return when what was written is durable."""
