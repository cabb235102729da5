# SPDX-License-Identifier: Apache-2.0
"""The project's performance targets, and verdicts on a run."""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
from dataclasses import dataclass

from benchmarks import figures
from benchmarks import results
from benchmarks.figures import Spread
from benchmarks.results import Run

MIB = 1024**2
GIB = 1024**3
# Of an image's size: what services read and write, besides, in logs and messages.
_NOISE = 0.25
MET = "met"
MISSED = "missed"
EQUAL = "equal within the spread"
UNKNOWN = "not measured"
_FIRST = " first byte"
_READINGS = {
    "reading_s": "reading alone, after the first piece,",
    "after_first_s": "after the first 4 MiB",
}


@dataclass(frozen=True)
class Verdict:
    """A target, the measured value, and the outcome.

    The outcome is MET, MISSED, UNKNOWN, or EQUAL: slower than upstream, but not in
    every repeat.
    """

    target: str
    measured: str
    outcome: str


def verdicts(run: Run) -> list[Verdict]:
    """Return the verdict on each target, in the order of the report."""
    return [judge(run) for judge in _JUDGES]


def _values(
    run: Run, case: str, line: str, metric: str = results.SECONDS
) -> dict[int, float]:
    found = run.case(case)
    return found.values(line, metric) if found else {}


def _judged(
    target: str, found: Spread | None, is_met: Callable[[Spread], bool]
) -> Verdict:
    """Return the verdict on *found*, a spread of ratios; None is not measured."""
    if found is None:
        return Verdict(target, "", UNKNOWN)
    return Verdict(target, _numbers(found), MET if is_met(found) else MISSED)


def _at_least(target: str, least: float, found: Spread | None) -> Verdict:
    return _judged(target, found, lambda ratios: ratios.median >= least)


def _numbers(found: Spread) -> str:
    return f"{found.median:.2f} ({found.least:.2f} to {found.most:.2f})"


def _faster(
    case: str, than: str, least: float, target: str
) -> Callable[[Run], Verdict]:
    """Return the judge of a target: at least *least* times the speed of *than*."""

    def judge(run: Run) -> Verdict:
        ratio = figures.ratio(_values(run, case, than), _values(run, case, "fv1"))
        return _at_least(target, least, ratio)

    return judge


def _upload_limit(run: Run) -> Verdict:
    """The whole time decides; that without Cinder's, at the start, is only shown."""
    case = "store-upload"
    limit = figures.slowest(_values(run, case, "null"), _values(run, case, "dd"))
    seconds = _values(run, case, "fv1")
    whole = _at_least(
        "upload of random data: at least 0.85 times the speed of the slower limit "
        "(hashing on threads, or dd with fsync)",
        0.85,
        figures.ratio(limit, seconds),
    )
    before = _values(run, case, "fv1", "before_data_s")
    rest = figures.ratio(limit, figures.differences(seconds, before))
    if rest is None:
        return whole
    text = f"{whole.measured}; from the first byte on {_numbers(rest)}"
    return dataclasses.replace(whole, measured=text)


def _download_limit(run: Run) -> Verdict:
    """The whole time decides; the ratio of the reading alone is only shown."""
    case = "store-download"
    whole = _at_least(
        "download: at least 0.85 times the speed of a plain pread loop",
        0.85,
        figures.ratio(_values(run, case, "pread"), _values(run, case, "fv1")),
    )
    # The second metric is that of runs that did not separate reading and detaching.
    for metric, name in _READINGS.items():
        reading = figures.ratio(
            _values(run, case, "pread", metric), _values(run, case, "fv1", metric)
        )
        if reading is not None:
            text = f"{whole.measured}; {name} {_numbers(reading)}"
            return dataclasses.replace(whole, measured=text)
    return whole


def _sparse(run: Run) -> Verdict:
    """No store can be faster than its hashes, which are shown beside."""
    case = "store-sparse"
    peer = _values(run, case, "peer")
    found = _at_least(
        "8 GiB sparse upload: at least 3 times the speed of upstream's cinder store",
        3,
        figures.ratio(peer, _values(run, case, "fv1")),
    )
    limit = figures.ratio(peer, _values(run, case, "null"))
    if limit is None:
        return found
    text = f"{found.measured}; only hashing, on threads, {_numbers(limit)}"
    return dataclasses.replace(found, measured=text)


def _thin(run: Run) -> Verdict:
    return _judged(
        "sparse upload: blocks on the FlexVol within 5 % of the image's data",
        figures.ratio(
            _values(run, "store-sparse", "fv1", "stored_bytes"),
            _values(run, "store-sparse", "fv1", "data_bytes"),
        ),
        lambda ratios: ratios.least >= 0.95 and ratios.most <= 1.05,
    )


def _all_finish(run: Run) -> Verdict:
    target = "8 readers of one image: all finish"
    counts: list[tuple[float, float]] = []
    for case in ("store-readers", "glance-readers"):
        finished = _values(run, case, "fv1-8", "finished")
        readers = _values(run, case, "fv1-8", "readers")
        counts += [(finished[repeat], readers[repeat]) for repeat in finished]
    if not counts:
        return Verdict(target, "", UNKNOWN)
    done, asked = (sum(column) for column in zip(*counts, strict=True))
    return Verdict(
        target, f"{done:.0f} of {asked:.0f}", MET if done == asked else MISSED
    )


def _readers(run: Run) -> Verdict:
    case = "store-readers"
    return _at_least(
        "8 readers together: at least 0.9 times the speed of one reader",
        0.9,
        figures.ratio(
            _values(run, case, "fv1-8", "bytes_per_s"),
            _values(run, case, "fv1-1", "bytes_per_s"),
        ),
    )


def _uploads(run: Run) -> Verdict:
    case = "store-uploads"
    return _at_least(
        "8 uploads together: at least 0.9 times the speed of one upload",
        0.9,
        figures.ratio(
            _values(run, case, "fv1-8", "bytes_per_s"),
            _values(run, case, "fv1-1", "bytes_per_s"),
        ),
    )


def _second_process(run: Run) -> Verdict:
    case, metric = "first-byte", "first_byte_s"
    return _judged(
        "first byte in a second process: at most 1.5 times as late as in the first",
        figures.ratio(
            _values(run, case, "fv1-second", metric),
            _values(run, case, "fv1-first", metric),
        ),
        lambda ratios: ratios.median <= 1.5,
    )


def _again(run: Run) -> Verdict:
    """Judge only a version that keeps attachments."""
    case = "first-byte"
    found = None
    if _values(run, case, "fv1-again", "linger_s"):
        found = figures.ratio(
            _values(run, case, "pread"), _values(run, case, "fv1-again")
        )
    return _at_least(
        "download again within ontap_linger: at least 0.85 times the speed of a plain "
        "pread loop",
        0.85,
        found,
    )


def _clones(run: Run) -> Verdict:
    case = "volume-same"
    return _judged(
        "volume from an image on the same FlexVol: 16 GiB take at most 1.2 times as "
        "long as 1 GiB",
        figures.ratio(_values(run, case, "fv1-16"), _values(run, case, "fv1-1")),
        lambda ratios: ratios.median <= 1.2,
    )


def _end_to_end(run: Run) -> Verdict:
    """Compare all lines through Glance that both stores have.

    Show the slow ones, the slowest first, or the slowest of all if none is slow.
    """
    target = "through Glance: no line slower than upstream's cinder store"
    ratios = sorted(_glance_ratios(run), key=lambda ratio: ratio[0].median)
    if not ratios:
        return Verdict(target, "", UNKNOWN)
    slow = [(found, name) for found, name in ratios if found.median < 1]
    if not slow:
        found, name = ratios[0]
        return Verdict(target, f"slowest: {_numbers(found)} in {name}", MET)
    text = "; ".join(f"{_numbers(found)} in {name}" for found, name in slow)
    is_equal = all(found.most >= 1 for found, _name in slow)
    return Verdict(target, text, EQUAL if is_equal else MISSED)


def _glance_ratios(run: Run) -> Iterator[tuple[Spread, str]]:
    """Yield each line's speed relative to upstream's cinder store, and its name."""
    for case in run.cases:
        if case.level != "glance":
            continue
        for line in case.lines:
            store, hyphen, variant = line.name.partition("-")
            if store != "fv1":
                continue
            other = f"peer{hyphen}{variant}"
            name = f"{case.name} {variant}".rstrip()
            for metric, suffix in ((results.SECONDS, ""), ("first_byte_s", _FIRST)):
                found = figures.ratio(case.values(other, metric), line.values(metric))
                if found is not None:
                    yield found, name + suffix


def _memory(direction: str) -> Callable[[Run], Verdict]:
    def judge(run: Run) -> Verdict:
        target = f"memory of one {direction}: at most 64 MiB more than without a store"
        case = f"memory-{direction}"
        over = figures.spread(
            list(
                figures.differences(
                    _values(run, case, "fv1", "peak_bytes"),
                    _values(run, case, "null", "peak_bytes"),
                ).values()
            )
        )
        if over is None:
            return Verdict(target, "", UNKNOWN)
        text = (
            f"{round(over.median / MIB)} MiB"
            f" ({round(over.least / MIB)} to {round(over.most / MIB)})"
        )
        return Verdict(target, text, MET if over.median <= 64 * MIB else MISSED)

    return judge


def _requests(run: Run) -> Verdict:
    target = "fewer requests to Cinder's API than upstream (upload, download, deletion)"
    texts = []
    is_met = True
    for kind in ("known", "unknown"):
        for operation in ("upload", "download", "delete"):
            metric = f"{operation}_requests"
            ours = _values(run, "requests", f"fv1-{kind}", metric)
            theirs = _values(run, "requests", f"peer-{kind}", metric)
            if not ours or not theirs:
                continue
            mine, other = max(ours.values()), max(theirs.values())
            # A deletion needs one request, so it may have as many as upstream's.
            is_equal_enough = operation == "delete" and mine == other
            is_met = is_met and (mine < other or is_equal_enough)
            texts.append(f"{operation}, size {kind}: {mine:.0f} against {other:.0f}")
    if not texts:
        return Verdict(target, "", UNKNOWN)
    return Verdict(target, "; ".join(texts), MET if is_met else MISSED)


def _replica_time(run: Run) -> Verdict:
    """Judge the size whose volumes on the replica's FlexVol are the slowest."""
    case = "volume-replica"
    found = [
        ratio
        for gib in ("1", "4")
        if (
            ratio := figures.ratio(
                _values(run, case, f"replica-{gib}"),
                _values(run, case, f"original-{gib}"),
            )
        )
    ]
    return _judged(
        "volume on another FlexVol, after replicate: at most 1.2 times as long as on "
        "the image's",
        max(found, key=lambda ratio: ratio.median, default=None),
        lambda ratios: ratios.median <= 1.2,
    )


def _replica_bytes(run: Run) -> Verdict:
    """Judge the replicas that the array makes, and the volumes made from them.

    A byte that a host copies is read and written there: twice the size of the image.
    """
    target = (
        "replica by the array, and a volume from it: no byte of the image passes "
        "Glance's API or a host"
    )
    through_glance: list[float] = []
    shares = [0.0]
    for case, start in (("replica", "array"), ("volume-replica", "replica")):
        for gib in (1, 4):
            line = f"{start}-{gib}"
            through_glance += _values(run, case, line, "glance_bytes").values()
            passed = _values(run, case, line, "host_bytes").values()
            shares += [value / (gib * GIB) for value in passed]
    if not through_glance:
        return Verdict(target, "", UNKNOWN)
    most = max(through_glance)
    text = (
        f"at most {most:.0f} bytes; hosts read and wrote at most "
        f"{max(shares):.1%} of an image's size, in all"
    )
    is_met = not most and max(shares) < _NOISE
    return Verdict(target, text, MET if is_met else MISSED)


def _all_clones(target: str, *lines: tuple[str, str]) -> Callable[[Run], Verdict]:
    """Return the judge of volumes at once, in *lines*: names of a case and a line."""

    def judge(run: Run) -> Verdict:
        texts = []
        is_met = True
        for case, line in lines:
            asked, fallbacks, new = (
                sum(_values(run, case, line, metric).values())
                for metric in ("volumes", "fallbacks", "unshared_bytes")
            )
            if not asked:
                continue
            is_met = is_met and not fallbacks and not new
            texts.append(
                f"{fallbacks:.0f} of {asked:.0f} are no clones, "
                f"{new / MIB:.1f} MiB are new"
            )
        if not texts:
            return Verdict(target, "", UNKNOWN)
        return Verdict(target, "; ".join(texts), MET if is_met else MISSED)

    return judge


def _recommended(metric: str, most: float, target: str) -> Callable[[Run], Verdict]:
    """Return the judge of the recommended configuration, beside upstream's."""

    def judge(run: Run) -> Verdict:
        case = "volumes-locations"
        found = figures.ratio(
            _values(run, case, "fv1-token", metric),
            _values(run, case, "peer-login", metric),
        )
        return _judged(target, found, lambda ratios: ratios.median <= most)

    return judge


_JUDGES: list[Callable[[Run], Verdict]] = [
    _faster(
        "store-upload",
        "peer",
        1.8,
        "upload of random data: at least 1.8 times the speed of upstream's cinder "
        "store",
    ),
    _upload_limit,
    _sparse,
    _thin,
    _uploads,
    _faster(
        "store-download",
        "peer",
        1.3,
        "download: at least 1.3 times the speed of upstream's cinder store",
    ),
    _download_limit,
    _second_process,
    _again,
    _all_finish,
    _readers,
    _clones,
    _end_to_end,
    _replica_time,
    _replica_bytes,
    _all_clones(
        "20 and 100 volumes at once on the image's FlexVol: all are clones without new "
        "blocks",
        ("volumes-many", "fv1-20"),
        ("volumes-hundred", "fv1-100"),
    ),
    _all_clones(
        "20 and 100 volumes at once over all FlexVols, after replicate: all are clones "
        "without new blocks",
        ("volumes-storm", "storm-20"),
        ("volumes-storm", "storm-100"),
    ),
    _recommended(
        "one_volume_s",
        0.7,
        "volume from an image, recommended configuration: at most 0.7 times as long as "
        "with upstream's store and configuration",
    ),
    _recommended(
        results.SECONDS,
        0.7,
        "20 volumes at once, recommended configuration: at most 0.7 times as long as "
        "with upstream's store and configuration",
    ),
    _recommended(
        "cpu_s",
        0.5,
        "20 volumes at once, recommended configuration: at most 0.5 times the CPU time "
        "with upstream's store and configuration",
    ),
    _memory("upload"),
    _memory("download"),
    _requests,
]
