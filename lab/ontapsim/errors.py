# SPDX-License-Identifier: Apache-2.0
"""Errors in ONTAP's shape.

``{"error": {"message": str, "code": "digits", "target": str}}``: page "Error
responses". The code is a string of digits, and clients branch on it.

File errors: 6684674 for a missing file is what Cinder's driver tests for
(``REST_NO_SUCH_FILE``). It is 0x660000 + 2, and 2 is ENOENT: other file errors
are derived the same way, from FreeBSD's errno, on which ONTAP is built. Clients
that branch on one of those derived codes should be checked on a real system.
"""

import errno
from typing import Any

CAUSES = ("full", "split_load")
_FILE_ERROR_BASE = 0x660000


class OntapError(Exception):
    """Answered to the client as it is: an HTTP status and an ONTAP error."""

    def __init__(
        self, status: int, code: int | str, message: str, target: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = str(code)
        self.message = message
        self.target = target

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the answer."""
        error = {"message": self.message, "code": self.code}
        if self.target is not None:
            error["target"] = self.target
        return {"error": error}


def no_entry(target: str = "uuid") -> OntapError:
    """An object that does not exist, of any kind (page "Error responses")."""
    return OntapError(404, 4, "entry doesn't exist", target)


def no_svm(name: str) -> OntapError:
    """The SVM of the X-Dot-SVM-Name header, or of a body, does not exist."""
    return OntapError(404, 2621462, f'SVM "{name}" does not exist.', "svm.name")


def no_volume(what: str, target: str = "volume") -> OntapError:
    """A body names a FlexVol that does not exist (917927, page "Volumes")."""
    message = f'The specified volume was not found: "{what}".'
    return OntapError(404, 917927, message, target)


def bad_login() -> OntapError:
    """401: no user of that name, or another password."""
    return OntapError(401, 6691623, "User is not authorized")


def not_permitted() -> OntapError:
    """403: the user's role lacks the right. Cinder's driver tests for code 6."""
    return OntapError(403, 6, "not authorized for that command")


def unexpected_argument(name: str) -> OntapError:
    """A query parameter that is no field of the collection."""
    return OntapError(400, 262179, f'Unexpected argument "{name}".', name)


def bad_value(field: str, value: object) -> OntapError:
    """A value that the field cannot take."""
    return OntapError(
        400, 262197, f'The value "{value}" is invalid for field "{field}"', field
    )


def missing_value(field: str) -> OntapError:
    """A property that a POST must have."""
    return OntapError(400, 262186, f'Field "{field}" is required.', field)


def duplicate(what: str, target: str) -> OntapError:
    """An object of that name exists already."""
    return OntapError(409, 1, f'duplicate entry: "{what}"', target)


def not_modelled(what: str) -> OntapError:
    """501: this simulator does not know the request. ONTAP never says this.

    Code 3 is ONTAP's "API not found".
    """
    return OntapError(501, 3, f"ontapsim does not model this: {what}")


def not_peered(svm: str, peer: str) -> OntapError:
    """A file is to be copied to an SVM that is no peer with ``file_copy``."""
    message = f'SVM "{svm}" is not peered with SVM "{peer}" for "file_copy".'
    return OntapError(400, 262197, message, "svm.name")


def caused(cause: str, path: str) -> OntapError:
    """Return the error of one of the ``CAUSES``, about the file that a job makes.

    ``full``: the FlexVol has no room. ``split_load``: the node takes no more clones
    until others are split; the guide "FlexClone file and FlexClone LUN" names EBUSY,
    NetApp's knowledge base has the text for a clone's token.
    """
    if cause == "full":
        return file_error(OSError(errno.ENOSPC, ""), path)
    busy = file_error(OSError(errno.EBUSY, ""), path)
    reason = "Reached maximum split load allowed on the node."
    return OntapError(busy.status, busy.code, f"{busy.message}. Reason: {reason}")


def file_error(error: OSError, path: str) -> OntapError:
    """Translate an error of the file system under a FlexVol."""
    number, text, status = _FILE_ERRORS.get(
        error.errno or 0, (5, f"I/O error: {error.strerror}", 500)
    )
    return OntapError(status, _FILE_ERROR_BASE + number, f"{text}: {path}", "path")


# Linux errno -> (FreeBSD errno, text, HTTP status)
_FILE_ERRORS = {
    1: (1, "Operation not permitted", 403),
    2: (2, "No such file or directory", 404),
    13: (13, "Permission denied", 403),
    16: (16, "Device busy", 503),
    17: (17, "File exists", 409),
    18: (18, "Cross-device link", 400),
    20: (20, "Not a directory", 400),
    21: (21, "Is a directory", 400),
    22: (22, "Invalid argument", 400),
    27: (27, "File too large", 400),
    28: (28, "No space left on device", 507),
    30: (30, "Read-only file system", 403),
    36: (63, "File name too long", 400),
    39: (66, "Directory not empty", 409),
    95: (45, "Operation not supported", 400),
}
