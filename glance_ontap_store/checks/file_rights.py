# SPDX-License-Identifier: Apache-2.0
"""Judge by which rights Glance opens the files of volumes (secure NFS)."""

from glance_ontap_store import errors
from glance_ontap_store.attach.transport import Access
from glance_ontap_store.checks import codes
from glance_ontap_store.checks.finding import Finding

_ALL_MAY = 0o006


def opened(store_id: str, access: Access, user: int) -> Finding:
    """Return the finding about a volume's file that user *user* has opened."""
    kind = f"Files of volumes have the mode {access.mode:04o}"
    owner = f"user {access.owner}, group {access.group}"
    if access.through_helper:
        return codes.FILE_ACCESS(
            store_id,
            f"{kind} ({owner}): user {user} may not open them, and the helper opens"
            " them as their owner.",
            f"This works. NetApp advises to put Glance's user into group {access.group}"
            " on this host and on the SVM.",
        )
    if access.mode & _ALL_MAY == _ALL_MAY:
        return codes.FILE_ACCESS(store_id, f"{kind}: every user may open them.", "")
    if user == 0:
        return codes.FILE_ACCESS(
            store_id,
            f"{kind} ({owner}): root may open them, which says nothing about Glance's"
            " user.",
            "Run the command as Glance's user.",
        )
    return codes.FILE_ACCESS(
        store_id, f"{kind} ({owner}): user {user} may open them.", ""
    )


def denied(store_id: str, step: str, error: errors.WriteDenied) -> Finding:
    """Return the finding about a volume's file that cannot be opened."""
    return codes.FILE_DENIED(
        store_id, f"{step}: {errors.describe(error)}", "See Secure NFS."
    )
