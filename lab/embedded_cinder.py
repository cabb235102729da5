# SPDX-License-Identifier: Apache-2.0
"""Cinder's API, scheduler and volume service in one process.

This is the embedded flavour: oslo.messaging's in-memory transport needs no broker.
The services are Cinder's own; only their launcher is replaced.
"""

from cinder import monkey_patch

monkey_patch.patch()

import logging as python_logging  # noqa: E402
import shlex  # noqa: E402
import sys  # noqa: E402

from cinder import i18n  # noqa: E402

i18n.enable_lazy()

from cinder import coordination  # noqa: E402
from cinder import objects  # noqa: E402
from cinder import rpc  # noqa: E402
from cinder import service  # noqa: E402
from cinder import utils  # noqa: E402
from cinder import version  # noqa: E402
from cinder.common import config  # noqa: E402
from cinder.common import constants  # noqa: E402
import eventlet  # noqa: E402
from eventlet import event  # noqa: E402
import os_brick  # noqa: E402
from oslo_config import cfg  # noqa: E402
from oslo_log import log as logging  # noqa: E402
from oslo_messaging._drivers import impl_fake  # noqa: E402
from oslo_privsep import priv_context  # noqa: E402
from oslo_serialization import jsonutils  # noqa: E402

CONF = cfg.CONF


class OneOfSeveral(service.Service):
    """One of several services in a process, with a heartbeat of its own.

    Cinder keeps the service's id in a class attribute. Otherwise all services would
    report as the last one started, and the others would be "down" after a minute.
    """

    def report_state(self) -> None:
        service.Service.service_id = self.origin_service_id
        super().report_state()


class AnswerAsJson(impl_fake.FakeIncomingMessage):
    """A request whose answer arrives as it would from a broker.

    oslo.messaging's in-memory transport checks that requests can be written as JSON,
    but hands answers over as they are. Cinder's API then gets the scheduler's own
    objects, and fails to copy the capabilities of a pool.
    """

    def reply(self, reply: object = None, failure: object = None) -> None:
        super().reply(jsonutils.loads(jsonutils.dumps(reply)), failure)


def main() -> None:
    impl_fake.FakeIncomingMessage = AnswerAsJson
    objects.register_all()
    CONF(
        ["--config-file", sys.argv[1]],
        project="cinder",
        version=version.version_string(),
    )
    config.set_middleware_defaults()
    logging.setup(CONF, "cinder")
    python_logging.captureWarnings(True)
    priv_context.init(root_helper=shlex.split(utils.get_root_helper()))
    os_brick.setup(CONF)
    rpc.init(CONF)
    coordination.COORDINATOR.start()

    backend = CONF.enabled_backends[0]
    CONF.register_opt(
        cfg.StrOpt("backend_host", help="Backend override of host value."),
        group=backend,
    )
    volume = OneOfSeveral.create(
        host=f"{CONF.host}@{backend}",
        service_name=backend,
        binary=constants.VOLUME_BINARY,
        coordination=False,
    )
    volume.start()
    scheduler = OneOfSeveral.create(binary=constants.SCHEDULER_BINARY)
    # The scheduler waits until a backend has reported.
    started = eventlet.spawn(scheduler.start)
    api = service.WSGIService("osapi_volume")
    api.start()
    started.wait()
    # The services' own wait() returns as soon as they are idle.
    event.Event().wait()


if __name__ == "__main__":
    main()
