# SPDX-License-Identifier: Apache-2.0
"""The context of one run of the command: configuration files and credentials."""

from collections.abc import Sequence
import dataclasses
import functools
import os
from typing import TYPE_CHECKING
from typing import Any

from glance_ontap_store import errors
from glance_ontap_store.errors import Reason
from glance_ontap_store.survey import configuration
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import GlanceConfig
from glance_ontap_store.survey.facts import StoreConfig

if TYPE_CHECKING:
    from openstack.connection import Connection


@dataclasses.dataclass
class Context:
    """The configuration and the cloud that the command's options name.

    Files are read, and the cloud is looked up, when they are first needed.
    """

    files: tuple[str, ...]
    directories: tuple[str, ...]
    os_cloud: str | None
    _secrets: list[str] = dataclasses.field(default_factory=list, repr=False)

    @functools.cached_property
    def glance(self) -> GlanceConfig:
        """Glance's configuration, without its policies.

        :raises errors.Misconfigured: glance-api.conf cannot be read
        """
        return configuration.glance_config(
            self._glance_conf, self.files, self.directories
        )

    def glance_with_policies(self) -> GlanceConfig:
        """Return Glance's configuration, and what its policies say about locations.

        :raises errors.Misconfigured: glance-api.conf cannot be read
        """
        # oslo.policy takes long to import, and the other commands do without.
        from glance_ontap_store.survey import location_policy

        return dataclasses.replace(
            self.glance, location_policy=location_policy.read(self._glance_conf)
        )

    @functools.cached_property
    def _glance_conf(self) -> Any:
        conf = configuration.read(self.files, self.directories, "glance")
        self._secrets += configuration.secrets_of(conf)
        return conf

    @functools.cached_property
    def cloud(self) -> "Connection | None":
        """The cloud that the operator named; None if no credentials were given.

        :raises errors.Misconfigured: there is no cloud of that name
        """
        found = _connect(self.os_cloud)
        if found is not None:
            self._secrets += _secrets_of(found)
        return found

    def cinder_conf(self, path: str | None) -> Answer[Any]:
        """Return the options of file *path*, or the reason why there are none."""
        if path is None:
            return Unknown(Reason.NOT_GIVEN, "no cinder.conf was given")
        try:
            conf = configuration.read([path], [], "cinder")
        except errors.Misconfigured as error:
            return Unknown(Reason.UNREADABLE, str(error))
        self._secrets += configuration.secrets_of(conf)
        return conf

    def masked(self, text: str) -> str:
        """Return *text* with the secrets of configuration and cloud replaced."""
        return configuration.masked(text, self._secrets)

    def stores(self, only: str | None) -> Sequence[StoreConfig]:
        """Return the stores of type ontap, or only the one with the id *only*.

        :raises errors.Misconfigured: there is no such store, or none at all, or
            glance-api.conf cannot be read
        """
        try:
            known = self.glance.stores
        except errors.Misconfigured as error:
            raise errors.Misconfigured(
                f"Glance's configuration cannot be read: {error}. Name the files that"
                " glance-api is started with: --config-file FILE."
            ) from error
        files = ", ".join(self.files)
        if not known:
            raise errors.Misconfigured(
                f"enabled_backends in {files} has no store of type ontap."
            )
        chosen = [store for store in known if only in (None, store.id)]
        if not chosen:
            names = ", ".join(store.id for store in known)
            raise errors.Misconfigured(
                f"{files} has no store {only!r} of type ontap. Its stores are: {names}."
            )
        return chosen

    def metrics_directory(self) -> str | None:
        """Return ``ontap_metrics_directory``; None if it or the files are not set."""
        try:
            stores = self.glance.stores
        except errors.StoreError:
            return None
        settings = [store.settings for store in stores if store.settings is not None]
        found = [each.metrics_directory for each in settings]
        return next((directory for directory in found if directory), None)


def of(app: Any) -> Context:
    """Return the context of the command that *app* runs."""
    context: Context = app.context
    return context


def _connect(name: str | None) -> "Connection | None":
    """Return the cloud *name* of clouds.yaml, otherwise that of the OS_* variables.

    None if neither is given: a clouds.yaml found on disk is not used unless asked
    for. No request is sent yet.

    :raises errors.Misconfigured: there is no such cloud
    """
    if name is None and not (
        os.environ.get("OS_CLOUD") or os.environ.get("OS_AUTH_URL")
    ):
        return None
    # It takes as long to import as all the rest.
    import openstack
    from openstack import exceptions as sdk_errors

    try:
        return openstack.connect(cloud=name)
    except sdk_errors.ConfigException as error:
        raise errors.Misconfigured(
            f"The cloud of --os-cloud or OS_* is not usable: {error}. Check its entry"
            " in clouds.yaml, or the OS_* variables."
        ) from error


def _secrets_of(cloud: "Connection") -> list[str]:
    """Return the secret values among the cloud's credentials."""
    auth: dict[str, object] = cloud.config.config.get("auth") or {}
    return [
        str(value)
        for name, value in auth.items()
        if value and name.endswith(("password", "secret", "token", "passcode"))
    ]
