# SPDX-License-Identifier: Apache-2.0
"""A process is killed before each of its steps, for every operation of a store.

The steps are those that the operation takes when it is not killed (see
`tests.fakes.steps`), so a new step has its kill without a change here.
"""

import ast
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import pathlib

from glance_store import exceptions
import pytest

import glance_ontap_store
from glance_ontap_store import units
from glance_ontap_store.cinder.api import Operator
from glance_ontap_store.cinder.api import VolumeService
from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import Result
from glance_ontap_store.tests.crash import fake_world
from glance_ontap_store.tests.crash import scenes
from glance_ontap_store.tests.crash.fake_world import FakeWorld
from glance_ontap_store.tests.crash.scenes import SCENES
from glance_ontap_store.tests.crash.scenes import Rig
from glance_ontap_store.tests.crash.scenes import Scene
from glance_ontap_store.tests.fakes.mortal import Run


def upload_without_a_mount(_stack: contextlib.ExitStack, world: FakeWorld) -> Scene:
    image_id = world.new_id()

    def fail(rig: Rig) -> None:
        # Only in the process that does it.
        world.host.cloud.mounter.refuses = True
        with contextlib.suppress(exceptions.BackendException):
            scenes.add(rig, image_id)

    return Scene(fail)


def replicate(_stack: contextlib.ExitStack, world: FakeWorld) -> Scene:
    url = world.upload()
    source = scenes.volume_of(url)
    image_id = world.show(url)

    def end(rig: Rig) -> None:
        """The next run completes the replica, and it is right; then it is retired."""
        assert world.carry_out(Action.MAKE, image_id, source) is Result.DONE
        (location,) = world.replicas(image_id)
        stream, _size = world.replicating_store().read(location, 0, None)
        scenes.check_content(stream)
        assert world.carry_out(Action.RETIRE, image_id, source) is Result.DONE

    return Scene(
        lambda _rig: world.carry_out(Action.MAKE, image_id, source), url, ends=end
    )


# A short run kills at one of so many steps.
ONE_OF = 5
# So often an operation is tried until it comes to a step.
ATTEMPTS = 12
# The lab's mounts cannot fail.
ALL = {
    **SCENES,
    "add, mount fails": upload_without_a_mount,
    # In the lab, the functional tests of replicas kill.
    "replicate": replicate,
}


# The operations that do something else with block devices, by which name they have
# there. Only there a host is connected; the rest is the same.
ON_A_LUN = {
    f"{name}, on a LUN": name
    for name in (
        *("add", "add, size unknown", "add, client goes away"),
        *("get", "get beside a clone", "delete", "recovery"),
    )
}
# There an upload extends an attached volume, which takes more than a GiB: small ones.
GIB_OF = {"add, size unknown, on a LUN": 2**18}
NAMES = [*ALL, *ON_A_LUN]


def made(name: str, stack: contextlib.ExitStack, world: FakeWorld) -> Scene:
    """The scene of that name."""
    return ALL[ON_A_LUN.get(name, name)](stack, world)


def world_of(
    name: str, base: pathlib.Path, root: pathlib.Path, patch: pytest.MonkeyPatch
) -> FakeWorld:
    """A world in which nothing has happened yet, for an operation."""
    kind = "ontap-lun1" if name in ON_A_LUN else "ontap-fv1"
    return fake_world.new_world(base, root, patch, kind, GIB_OF.get(name, units.GIB))


@pytest.fixture
def new_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], FakeWorld]]:
    """Make worlds in which nothing has happened yet, for an operation."""
    with fake_world.directories() as (base, root):
        yield lambda name: world_of(name, base, root, monkeypatch)


@pytest.mark.parametrize("name", NAMES)
def test_a_process_may_die_at_every_step(
    new_world: Callable[[str], FakeWorld], name: str, is_long: bool
) -> None:
    failures = []
    steps = clean_run(new_world(name), name).steps
    world = new_world(name)
    # Each operation begins at another one, as most begin alike.
    at, every = (0, 1) if is_long else (NAMES.index(name) % ONE_OF, ONE_OF)
    for step in effective(steps)[at::every]:
        try:
            if not is_killed(world, name, step):
                # Only the first process of a host makes the directories, say; and
                # recovery takes journals in the order of their names, which are random.
                worlds = (new_world(name) for _attempt in range(ATTEMPTS))
                world = next(one for one in worlds if is_killed(one, name, step))
        except Exception as error:
            failures.append(f"{step}: {error!r}")
            # What is left would be found again.
            world = new_world(name)
    assert steps
    assert not failures, f"{len(failures)} of {len(steps)}\n" + "\n".join(failures)


PACKAGE = pathlib.Path(glance_ontap_store.__file__).parent
# The packages that run while a store works; the rest are commands.
AT_WORK = ("attach", "cinder", "images", "liveness", "recovery", "stopping", "transfer")
# Clean-up that is prepared where these tests do not pass, and the reason.
ELSEWHERE = {
    # The fakes have no helper that runs as root.
    "attach.ownership": "its files are opened by the helper",
    "attach.handover": "its files are opened by the helper",
    # Commands look so for mounts that are left; they change nothing there.
    "attach.nfs.mounts:_is_unused": "only commands ask",
}


@pytest.fixture(scope="module")
def clean_runs() -> dict[str, Run]:
    """Every operation of a process that lives."""
    patch = pytest.MonkeyPatch()
    with fake_world.directories() as (base, root):
        found = {
            name: clean_run(world_of(name, base, root, patch), name) for name in NAMES
        }
    patch.undo()
    return found


def test_an_upload_writes_to_a_lun_after_it_has_grown(
    clean_runs: dict[str, Run],
) -> None:
    """So there are kills before its growth in Cinder, before that here, and after."""
    steps = clean_runs["add, size unknown, on a LUN"].steps
    in_cinder, here = steps.index("cinder.extend 1"), steps.index("kernel.extend 1")
    writes = [at for at, step in enumerate(steps) if "write_at pwrite" in step]
    assert in_cinder < here < writes[0]


def test_every_request_belongs_to_an_operation(clean_runs: dict[str, Run]) -> None:
    """A new request of the store needs a scene in which a process dies at it."""
    known = {
        f"{kind}.{name}"
        for kind, interface in (("cinder", VolumeService), ("operator", Operator))
        for name in vars(interface)
        if not name.startswith("_")
    }
    taken = {step.split()[0] for run in clean_runs.values() for step in run.steps}
    asked = {read.strip() for read in READS}
    assert known - taken - asked == set()


def test_every_clean_up_is_prepared_by_an_operation(
    clean_runs: dict[str, Run],
) -> None:
    """A new acquisition needs a scene in which a process dies around it."""
    prepared = set().union(*(run.prepared for run in clean_runs.values()))
    missing = {
        site
        for site in clean_ups()
        if site not in prepared
        if not ELSEWHERE.keys() & {site, site.partition(":")[0]}
    }
    assert missing == set()


def clean_ups() -> Iterator[str]:
    """The functions of the product that prepare clean-up, as "module:function"."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[0] in AT_WORK:
            for function in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(function, ast.FunctionDef) and prepares(function):
                    yield f"{'.'.join(parts)}:{function.name}"


def prepares(function: ast.FunctionDef) -> bool:
    """Return whether it calls `undo` itself, and not in a function inside it."""
    inner = {
        below
        for node in ast.walk(function)
        if isinstance(node, ast.FunctionDef) and node is not function
        for below in ast.walk(node)
    }
    return any(
        isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("undo.always", "undo.on_failure")
        for node in ast.walk(function)
        if node not in inner
    )


# Requests that change nothing: a kill before one finds what a kill before the next step
# finds. Other requests, and new ones, are killed at.
READS = (
    "cinder.get ",
    "cinder.find ",
    "cinder.search ",
    "cinder.attachments ",
    "cinder.reservations ",
    "cinder.connection_info ",
    "cinder.has_snapshots ",
    "cinder.last_fault ",
    "cinder.type_name ",
    "operator.list_volumes ",
    "operator.last_fault ",
    "glance.image ",
    "glance.places ",
)


# Requests that Cinder answers before it does them.
BEGUN = ("cinder.create ", "cinder.extend ")


def effective(steps: list[str]) -> list[str]:
    """The steps that leave something behind.

    While a reader waits for others it takes the same steps again and again: of more
    than five, the first three and the last two are taken. A question changes nothing;
    but Cinder is at work yet when one follows a request that takes it some time.
    """
    names = [step.rpartition(" ")[0] for step in steps]
    numbers = [int(step.rpartition(" ")[2]) for step in steps]
    return [
        step
        for before, step, name, number in zip(
            ["", *steps[:-1]], steps, names, numbers, strict=True
        )
        if before.startswith(BEGUN)
        or (not step.startswith(READS) and not 3 < number <= names.count(name) - 2)
    ]


def clean_run(world: FakeWorld, name: str) -> Run:
    """The operation of a process that lives."""
    with contextlib.ExitStack() as stack:
        run = world.host.run(made(name, stack, world).operation)
        run.must()
        return run


def is_killed(world: FakeWorld, name: str, step: str) -> bool:
    """Kill a process at the step, and check; return whether it took that step."""
    with contextlib.ExitStack() as stack:
        scene = made(name, stack, world)
        run = world.host.run(scene.operation, at=step)
        check_after_a_kill(world, scene, stack)
    return run.was_killed


def check_after_a_kill(
    world: FakeWorld, scene: Scene, elsewhere: contextlib.ExitStack
) -> None:
    """Check what other processes find, and delete all images.

    :raises AssertionError: something wrong is served, or something is left
    """
    host, volumes, image_id = world.host, list(world.volumes()), world.new_id()

    def start(rig: Rig) -> None:
        for each in volumes:
            scenes.check_served(rig, f"cinder://fv1/{each}")
        world.recover(rig)

    def go_on(rig: Rig) -> None:
        scenes.check_usable(rig, scene, image_id)
        for orphan in orphans:
            scenes.delete(rig, orphan)

    host.do(start)
    host.cloud.clock.sleep(60)
    if scene.ends is not None:
        host.do(scene.ends)
        host.cloud.clock.sleep(60)
    # A process that dies between the seal and its answer leaves an image-volume that
    # Glance does not know: only a sweep can tell.
    assert set(world.volumes().values()) <= {"sealed"}
    orphans = {f"cinder://fv1/{each}" for each in world.volumes()} - {scene.url}
    elsewhere.close()
    host.do(go_on)
    host.cloud.clock.sleep(60)
    again = host.do(world.recover)
    found = {step.partition(" ")[0] for step in again.steps} & RELEASES
    assert not found, f"the second recovery found something: {again.steps}"
    assert host.cloud.holdings() == set()


# The requests by which recovery releases something.
RELEASES = {"cinder.delete", "cinder.detach"}
