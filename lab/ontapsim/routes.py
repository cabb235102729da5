# SPDX-License-Identifier: Apache-2.0
"""The handlers of the requests, and the steps that all requests go through.

Flask matches the URL. In front of it each path is brought into one shape, since
clients send ``/api//storage/volumes/`` and ``files/a%2Fb``.
"""

from collections.abc import Callable
from collections.abc import Iterable
import functools
import json
import logging
from typing import Any
from urllib.parse import quote
from urllib.parse import unquote

from flask import Flask
from flask import Response
from flask import request
from werkzeug.exceptions import HTTPException

from lab.ontapsim import api_cluster
from lab.ontapsim import api_files
from lab.ontapsim import api_igroups
from lab.ontapsim import api_luns
from lab.ontapsim import api_nvme
from lab.ontapsim import api_storage
from lab.ontapsim import api_targets
from lab.ontapsim import api_zapi
from lab.ontapsim import errors
from lab.ontapsim import query
from lab.ontapsim.call import Call
from lab.ontapsim.call import Reply
from lab.ontapsim.errors import OntapError
from lab.ontapsim.faults import JOB_FAULT_KEY
from lab.ontapsim.state import Array
from lab.ontapsim.state import User

LOG = logging.getLogger(__name__)

Handler = Callable[..., Reply]
Wsgi = Callable[..., Iterable[bytes]]

ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/cluster", api_cluster.get_cluster),
    ("GET", "/cluster/nodes", api_cluster.list_nodes),
    ("GET", "/cluster/nodes/<uuid>", api_cluster.get_node),
    ("GET", "/cluster/jobs", api_cluster.list_jobs),
    ("GET", "/cluster/jobs/<uuid>", api_cluster.get_job),
    ("PATCH", "/cluster/jobs/<uuid>", api_cluster.change_job),
    ("GET", "/cluster/counter/tables/<table>", api_cluster.get_counter_table),
    ("GET", "/cluster/counter/tables/<table>/rows", api_cluster.list_counter_rows),
    ("GET", "/network/ip/interfaces", api_cluster.list_interfaces),
    ("GET", "/network/ip/interfaces/<uuid>", api_cluster.get_interface),
    ("GET", "/svm/svms", api_cluster.list_svms),
    ("GET", "/svm/svms/<uuid>", api_cluster.get_svm),
    ("GET", "/svm/peers", api_cluster.list_svm_peers),
    ("POST", "/svm/peers", api_cluster.post_svm_peer),
    ("DELETE", "/svm/peers/<uuid>", api_cluster.delete_svm_peer),
    ("POST", "/support/ems/application-logs", api_cluster.post_ems_log),
    ("GET", "/storage/aggregates", api_storage.list_aggregates),
    ("GET", "/storage/aggregates/<uuid>", api_storage.get_aggregate),
    ("GET", "/storage/disks", api_storage.list_disks),
    ("GET", "/snapmirror/relationships", api_storage.list_snapmirror),
    ("GET", "/storage/volumes", api_storage.list_volumes),
    ("POST", "/storage/volumes", api_storage.post_volume),
    ("PATCH", "/storage/volumes", api_storage.patch_volumes),
    ("GET", "/storage/volumes/<uuid>", api_storage.get_volume),
    ("PATCH", "/storage/volumes/<uuid>", api_storage.patch_volume),
    ("DELETE", "/storage/volumes/<uuid>", api_storage.delete_volume),
    ("GET", "/storage/volumes/<uuid>/snapshots", api_storage.list_snapshots),
    ("POST", "/storage/volumes/<uuid>/snapshots", api_storage.post_snapshot),
    ("DELETE", "/storage/volumes/<uuid>/snapshots", api_storage.delete_snapshots),
    (
        "GET",
        "/storage/volumes/<uuid>/snapshots/<snapshot_uuid>",
        api_storage.get_snapshot,
    ),
    (
        "PATCH",
        "/storage/volumes/<uuid>/snapshots/<snapshot_uuid>",
        api_storage.patch_snapshot,
    ),
    (
        "DELETE",
        "/storage/volumes/<uuid>/snapshots/<snapshot_uuid>",
        api_storage.delete_snapshot,
    ),
    ("GET", "/application/consistency-groups", api_storage.list_groups),
    ("POST", "/application/consistency-groups", api_storage.post_group),
    ("DELETE", "/application/consistency-groups/<uuid>", api_storage.delete_group),
    (
        "POST",
        "/application/consistency-groups/<uuid>/snapshots",
        api_storage.post_group_snapshot,
    ),
    ("GET", "/storage/qos/policies", api_storage.list_policies),
    ("POST", "/storage/qos/policies", api_storage.post_policy),
    ("PATCH", "/storage/qos/policies", api_storage.patch_policies),
    ("DELETE", "/storage/qos/policies", api_storage.delete_policies),
    ("GET", "/storage/qos/policies/<uuid>", api_storage.get_policy),
    ("PATCH", "/storage/qos/policies/<uuid>", api_storage.patch_policy),
    ("DELETE", "/storage/qos/policies/<uuid>", api_storage.delete_policy),
    ("GET", "/storage/volumes/<uuid>/files", api_files.list_files),
    ("GET", "/storage/volumes/<uuid>/files/<path:path>", api_files.list_files),
    ("POST", "/storage/volumes/<uuid>/files/<path:path>", api_files.post_file),
    ("PATCH", "/storage/volumes/<uuid>/files/<path:path>", api_files.patch_file),
    ("DELETE", "/storage/volumes/<uuid>/files/<path:path>", api_files.delete_file),
    ("POST", "/storage/file/clone", api_files.post_clone),
    ("GET", "/storage/file/clone/split-status", api_files.list_split_status),
    ("POST", "/storage/file/copy", api_files.post_copy),
    ("GET", "/private/cli/volume/efficiency", api_files.show_efficiency),
    ("GET", "/private/cli/volume/file/show-disk-usage", api_files.show_disk_usage),
    *api_luns.ROUTES,
    *api_igroups.ROUTES,
    *api_nvme.ROUTES,
    *api_targets.ROUTES,
)

# Not shown to the login of an SVM ("vsadmin").
_CLUSTER_ONLY = (
    "/cluster/nodes",
    "/cluster/counter",
    "/storage/aggregates",
    "/storage/disks",
    "/network/fc/ports",
    "/private/cli",
    "/svm/peers",
)


def create_app(array: Array) -> Flask:
    """Return the web application that answers under ``/api``, and to ZAPI."""
    app = Flask("ontapsim", static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = False
    for method, path, handler in ROUTES:
        app.add_url_rule(
            f"/api{path}",
            endpoint=f"{method} {path}",
            view_func=_view(array, handler),
            methods=[method],
            provide_automatic_options=False,
        )
    app.add_url_rule(api_zapi.PATH, view_func=_zapi_view(array), methods=["POST"])
    app.register_error_handler(OntapError, _answer_error)
    app.register_error_handler(HTTPException, _answer_unknown)
    app.register_error_handler(OSError, _answer_os_error)
    app.wsgi_app = one_shape(app.wsgi_app)  # type: ignore[method-assign]
    return app


def _view(array: Array, handler: Handler) -> Callable[..., Response]:
    @functools.wraps(handler)
    def view(**names: str) -> Response:
        user = authenticate(array)
        path = request.path.removeprefix("/api")
        svm = authorise(array, user, request.method, path)
        call = Call(
            array=array,
            method=request.method,
            path=_decoded(path),
            query=query.parse(request.query_string.decode("latin-1")),
            body=_body(),
            svm=svm,
            job_fault=request.environ.get(JOB_FAULT_KEY),
        )
        reply = handler(call, **{k: _decoded(v) for k, v in names.items()})
        return _response(reply)

    return view


def _zapi_view(array: Array) -> Callable[[], Response]:
    def zapi() -> Response:
        user = authenticate(array)
        return Response(
            api_zapi.answer(array, user, request.get_data()), mimetype="text/xml"
        )

    return zapi


def _response(reply: Reply) -> Response:
    return Response(
        json.dumps(reply.body, indent=2) + "\n",
        status=reply.status,
        headers=reply.headers,
        mimetype="application/hal+json",
    )


def _body() -> dict[str, Any]:
    raw = request.get_data()
    if not raw or request.mimetype == "multipart/form-data":
        return {}
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise OntapError(400, 262175, f"Invalid JSON input: {error}") from error
    if not isinstance(body, dict):
        raise OntapError(400, 262175, "Invalid JSON input: not an object")
    return body


# Authentication --------------------------------------------------------------


def authenticate(array: Array) -> User:
    """Return the user of the request's basic authentication.

    :raises OntapError: 401
    """
    login = request.authorization
    if login is None or login.type != "basic":
        raise errors.bad_login()
    user = array.users.get(login.username or "")
    if user is None or user.password != login.password:
        raise errors.bad_login()
    return user


def authorise(array: Array, user: User, method: str, path: str) -> str | None:
    """Return the SVM that the request is about, or None for the whole cluster.

    Page "SVM tunneling": the SVM's name is in X-Dot-SVM-Name.

    :raises OntapError: 403 with code 6, or 404 for an SVM that does not exist
    """
    if user.role not in ("admin", "readonly", "vsadmin"):
        raise errors.not_permitted()
    if user.role == "readonly" and method != "GET":
        raise errors.not_permitted()
    if user.role == "vsadmin" and path.startswith(_CLUSTER_ONLY):
        raise errors.not_permitted()
    svm = request.headers.get("X-Dot-SVM-Name")
    if svm is not None and svm not in array.svms:
        raise errors.no_svm(svm)
    if svm is None and user.role == "vsadmin":
        return next(iter(array.svms))
    return svm


# Errors ----------------------------------------------------------------------


def _answer_error(error: OntapError) -> Response:
    if error.status == 501:
        LOG.error("%s %s: %s", request.method, request.url, error.message)
    reply = Reply(error.body(), error.status)
    if error.status == 401:
        reply.headers["WWW-Authenticate"] = 'Basic realm="ONTAP"'
    return _response(reply)


def _answer_unknown(error: HTTPException) -> Response:
    """Answer 501 for an unknown URL or method, and log it at ERROR."""
    if error.code not in (404, 405):
        LOG.error("%s %s: %s", request.method, request.url, error)
        return _response(Reply(OntapError(400, 3, str(error)).body(), 400))
    body = request.get_data(as_text=True)[:1000]
    LOG.error("unknown request: %s %s %s", request.method, request.url, body)
    unknown = errors.not_modelled(f"{request.method} {request.path}")
    return _response(Reply(unknown.body(), unknown.status))


def _answer_os_error(error: OSError) -> Response:
    LOG.exception("%s %s", request.method, request.url)
    return _answer_error(errors.file_error(error, str(error.filename or "")))


# URLs ------------------------------------------------------------------------


def one_shape(app: Wsgi) -> Wsgi:
    """Wrap a WSGI application so that it sees paths in one shape.

    Single slashes, none at the end, and each segment decoded once, but with "/"
    and "%" inside a segment quoted still: the handler's own :func:`_decoded` ends
    that. WSGI servers decode ``PATH_INFO``, so this starts from the raw URL.
    """

    def wrapped(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["PATH_INFO"] = normal_path(environ["RAW_URI"])
        return app(environ, start_response)

    return wrapped


def normal_path(raw: str) -> str:
    """Return the path of a raw URL in the shape that :func:`one_shape` describes."""
    if "://" in raw.split("?", 1)[0]:
        raw = "/" + raw.split("://", 1)[1].partition("/")[2]
    segments = [unquote(part) for part in raw.split("?", 1)[0].split("/") if part]
    quoted = (part.replace("%", "%25").replace("/", "%2F") for part in segments)
    # WSGI strings are bytes shown as latin-1.
    return ("/" + "/".join(quoted)).encode().decode("latin-1")


def _decoded(path: str) -> str:
    return path.replace("%2F", "/").replace("%25", "%")


def quoted_file(path: str) -> str:
    """Return a file's path as one URL segment, as ONTAP's documentation asks."""
    return quote(path, safe="").replace(".", "%2E")
