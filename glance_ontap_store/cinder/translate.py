# SPDX-License-Identifier: Apache-2.0
"""The one table from Cinder's and Keystone's errors to reasons and errors of ours."""

import dataclasses
import datetime
import email.utils
from typing import Any

from cinderclient import exceptions as cinder_errors
from keystoneauth1 import exceptions as keystone_errors
from oslo_utils import strutils
from oslo_utils import timeutils

from glance_ontap_store import errors
from glance_ontap_store import identity
from glance_ontap_store.errors import Doubt
from glance_ontap_store.errors import Reason
from glance_ontap_store.errors import Transient
from glance_ontap_store.settings import Settings

# cinderclient reads an answer without checking it, and raises these for a malformed
# one.
MALFORMED = (AttributeError, LookupError, TypeError, ValueError)
_OF_HTTP = {401: Reason.UNAUTHORIZED, 403: Reason.FORBIDDEN, 404: Reason.MISSING}
# Answers that may be others soon. A gateway answers 502 when it has lost the service,
# and 504 when the service takes too long.
_PASSING = {
    429: Doubt.UNSENT,
    500: Doubt.OVER,
    502: Doubt.LOST,
    503: Doubt.OVER,
    504: Doubt.LATE,
}


def reason_of(error: Exception) -> Reason:
    """Return why a request to Cinder has no answer that can be used."""
    if isinstance(error, cinder_errors.ClientException):
        if error.code == 404 and not _is_cinders_own(error):
            return Reason.BROKEN
        return _OF_HTTP.get(error.code, Reason.BROKEN)
    if isinstance(error, cinder_errors.EndpointNotFound):
        return Reason.NO_ENDPOINT
    return identity.reason_of(error)


def _is_cinders_own(error: cinder_errors.ClientException) -> bool:
    """Return whether the answer has the form of Cinder's errors, not a proxy's."""
    # cinderclient sets the details only where it could parse a body.
    return error.details is not None and error.message != "n/a"


def _is_404(error: Exception) -> bool:
    return isinstance(error, keystone_errors.NotFound)


def transient_of(error: Exception, now: datetime.datetime) -> Transient | None:
    """Return whether the failure of a request may pass; None if it does not.

    *now* has a zone; ``Retry-After`` may be a date.
    """
    if isinstance(error, cinder_errors.ClientException):
        if error.code == 404 and not _is_cinders_own(error):
            return Transient(Doubt.LOST)
        return _transient(error.code, error, now)
    if isinstance(error, keystone_errors.HttpError):
        return _transient(error.http_status, error, now)
    if isinstance(error, MALFORMED):
        return Transient(Doubt.LOST)
    match identity.reason_of(error):
        case Reason.UNREACHABLE | Reason.BROKEN:
            return Transient(identity.doubt_of(error))
    return None


def _transient(code: int, error: Any, now: datetime.datetime) -> Transient | None:
    if code not in _PASSING:
        return None
    response = getattr(error, "response", None)
    wished = response.headers.get("Retry-After", "") if response is not None else ""
    return Transient(_PASSING[code], retry_after_s(wished, now))


def retry_after_s(text: str, now: datetime.datetime) -> float:
    """Return the seconds that a header ``Retry-After`` asks for; 0 if none.

    It has a number of seconds or a date (RFC 9110, section 10.2.3).
    """
    if text.strip().isdecimal():
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return 0
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.timezone.utc)
    return max(0, (date - now).total_seconds())


@dataclasses.dataclass(frozen=True)
class Translator:
    """Makes errors of ours for the requests of one client.

    *who* asks Cinder, and *quota_owner* pays: both as messages name them.
    """

    settings: Settings
    who: str
    quota_owner: str

    def error(self, what: str, error: Exception, on_state: bool) -> errors.StoreError:
        """The error of ours for *error*; *what* is a verb phrase.

        *on_state*: the action needs a certain state of the volume, and Cinder
        answers 400 when it has another.
        """
        reason = reason_of(error)
        if isinstance(error, cinder_errors.ClientException):
            made = self._from_answer(what, error, reason, on_state)
        elif isinstance(error, MALFORMED):
            made = errors.Broken(
                f"Cannot {what}: the answer is not one of Cinder's ({error!r}). Is"
                " there a proxy between? Check the endpoint in Keystone's catalog."
            )
        else:
            made = self._from_session(what, error, reason)
        made.reason = reason
        made.transient = transient_of(error, timeutils.utcnow(with_timezone=True))
        return made

    def _from_answer(
        self, what: str, error: Any, reason: Reason, on_state: bool
    ) -> errors.StoreError:
        match reason:
            case Reason.MISSING:
                return errors.ImageVolumeGone(f"Cannot {what}: {error}")
            case Reason.UNAUTHORIZED:
                return errors.NotAuthenticated(
                    f"Cannot {what}: Cinder does not accept {self.who}: {error}. Has"
                    " the token expired or been revoked, or does Cinder have another"
                    " Keystone ([keystone_authtoken] of cinder.conf)?"
                )
            case Reason.FORBIDDEN:
                return errors.Refused(
                    f"Cannot {what}: Cinder refuses {self.who}: {error}. Check its"
                    " roles and Cinder's policies."
                )
        match error.code:
            case 404:
                # As Gone, Glance would forget where the image lies.
                return errors.Broken(
                    f"Cannot {what}: the answer is 404, but it did not come from"
                    " Cinder. Is there a proxy between? Check the endpoint in"
                    " Keystone's catalog."
                )
            case 413:
                return errors.NoSpace(
                    f"Cannot {what}: {error}. Raise the Cinder quota of"
                    f" {self.quota_owner}, or delete images."
                )
            case 400 | 409 if on_state:
                return errors.ImageVolumeInUse(f"Cannot {what}: {error}")
        return errors.Broken(f"Cannot {what}: {error}. See the log of cinder-api.")

    def _from_session(
        self, what: str, error: Exception, reason: Reason
    ) -> errors.StoreError:
        who = self.settings.describe_identity()
        url = self.settings.auth_url
        text = strutils.mask_password(str(error))
        match reason:
            case Reason.UNAUTHORIZED | Reason.FORBIDDEN:
                return errors.Refused(
                    f"Cannot {what}: Keystone at {url} refuses {who}: {text}. Check"
                    f" the credentials of store {self.settings.store_id!r}."
                )
            case _ if self.settings.is_by_application and _is_404(error):
                return errors.Refused(
                    f"Cannot {what}: Keystone at {url} does not know {who}: {text}. Was"
                    " it deleted? Check also that ontap_store_auth_address is"
                    " Keystone's."
                )
            case Reason.NO_ENDPOINT:
                return errors.Misconfigured(
                    f"Cannot {what}: Keystone's catalog has no Cinder endpoint: {text}."
                    " Check ontap_catalog_info and ontap_os_region_name."
                )
            case Reason.CERTIFICATE:
                return errors.Misconfigured(
                    f"Cannot {what}: a certificate was refused: {text}. Set"
                    " ontap_ca_certificates_file to the file of its authority."
                )
        return errors.CinderUnreachable(
            f"Cannot {what}: no answer from Cinder or Keystone: {text}. Check"
            f" ontap_store_auth_address ({url}), the endpoint in Keystone's catalog"
            " (ontap_catalog_info) and the network."
        )
