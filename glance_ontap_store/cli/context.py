# SPDX-License-Identifier: Apache-2.0
"""What all subcommands begin with: the configuration, and who asks."""

from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

from openstack import connection

from glance_ontap_store import errors
from glance_ontap_store.cli import admin
from glance_ontap_store.errors import Reason
from glance_ontap_store.survey import configuration
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.facts import StoreConfig


@dataclasses.dataclass
class Context:
    """One run of the command; files are read and clouds looked up when needed."""

    files: tuple[str, ...]
    directories: tuple[str, ...]
    os_cloud: str | None
    _secrets: list[str] = dataclasses.field(default_factory=list, repr=False)

    @functools.cached_property
    def glance(self) -> GlanceConfig:
        """
        :raises errors.Misconfigured: glance-api.conf cannot be read
        """
        conf = configuration.read(self.files, self.directories, "glance")
        self._secrets += configuration.secrets_of(conf)
        return configuration.glance_config(conf, self.files, self.directories)

    @functools.cached_property
    def cloud(self) -> connection.Connection | None:
        """The administrator's, None if there is none.

        :raises errors.Misconfigured: the cloud that was named does not exist
        """
        found = admin.connect(self.os_cloud)
        if found is not None:
            self._secrets += admin.secrets_of(found)
        return found

    def cinder_conf(self, path: str | None) -> Answer[Any]:
        """The cinder.conf of that path, read."""
        if path is None:
            return Unknown(Reason.NOT_GIVEN, "no cinder.conf was given")
        try:
            conf = configuration.read([path], [], "cinder")
        except errors.Misconfigured as error:
            return Unknown(Reason.UNREADABLE, str(error))
        self._secrets += configuration.secrets_of(conf)
        return conf

    def masked(self, text: str) -> str:
        """*text* without a secret of the configuration, should it have one."""
        return configuration.masked(text, self._secrets)

    def stores(self, only: str | None) -> Sequence[StoreConfig]:
        """The stores of type ontap, or the one of that id.

        :raises errors.Misconfigured: there is no such store, or none at all
        """
        known = self.glance.stores
        chosen = [each for each in known if only in (None, each.id)]
        if not chosen:
            names = ", ".join(each.id for each in known) or "none"
            raise errors.Misconfigured(
                f"There is no store {only!r} of type ontap in"
                f" {', '.join(self.files)}; there are: {names}."
                if only
                else f"enabled_backends in {', '.join(self.files)} has no store of"
                " type ontap."
            )
        return chosen


def of(app: Any) -> Context:
    """The session of the command that *app* runs."""
    session: Context = app.session
    return session
