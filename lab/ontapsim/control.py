# SPDX-License-Identifier: Apache-2.0
"""The control plane of the simulator, ``/_sim``, which ONTAP does not have.

``GET, POST, DELETE /_sim/faults``, ``DELETE /_sim/faults/ID``,
``GET, DELETE /_sim/requests``. It asks for no login: it listens on 127.0.0.1.
"""

from flask import Flask
from flask import request
from flask.typing import ResponseReturnValue

from lab.ontapsim.faults import BadFault
from lab.ontapsim.faults import FaultTable
from lab.ontapsim.requestlog import RequestLog


def create_control(faults: FaultTable, log: RequestLog) -> Flask:
    """Return the web application that answers under ``/_sim``."""
    app = Flask("ontapsim_control", static_folder=None)

    @app.get("/_sim/faults")
    def list_faults() -> ResponseReturnValue:
        return {"faults": faults.list()}

    @app.post("/_sim/faults")
    def add_fault() -> ResponseReturnValue:
        try:
            fault = faults.add(request.get_json(silent=True))
        except BadFault as error:
            return {"error": str(error)}, 400
        return {"id": fault.id}, 201

    @app.delete("/_sim/faults")
    def remove_faults() -> ResponseReturnValue:
        faults.remove()
        return {}

    @app.delete("/_sim/faults/<fault_id>")
    def remove_fault(fault_id: str) -> ResponseReturnValue:
        faults.remove(fault_id)
        return {}

    @app.get("/_sim/requests")
    def list_requests() -> ResponseReturnValue:
        return {"requests": log.recent()}

    @app.delete("/_sim/requests")
    def clear_requests() -> ResponseReturnValue:
        log.clear()
        return {}

    return app
