"""Learning coefficients by algebra: how many are proved, how fast, and that every certificate replays.

    singulab bench exact                              # everything, and the record; about an hour on one core
    singulab bench exact --groups table random        # some groups
    singulab bench exact --shard 0/4                  # every fourth question; rows are shared through --folder

Groups: ``table`` (rows with known values), ``bounded`` (known values that are not proved), ``formulas`` (the published
tables of closed forms), ``random`` ideals drawn by seed without rejection, ``coordinates`` (nine ideals, each under
five changes of coordinates), ``networks`` (many variables), ``widths`` (every two-layer network at the zero function),
``size`` (time against variables and degree), ``contradictions`` (the proved random ideals against volumes) and
``opinion`` (Macaulay2, if it is installed). The seeds are those of the test; development had others.

Finished rows stand in ``--folder``, one line each: a run that was cut off goes on where it stood, as long as the code
of :mod:`singulab.exact` and the limits are the same. Rows of ``contradictions`` depend on :mod:`singulab.bayes` too.
"""

import json
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import singulab as sl
from benchmarks.book import digest
from benchmarks.shards import Row, Shards
from singulab.bayes import volume_exponent
from singulab.bayes.splitting import Splitting
from singulab.cli.bench import BenchConfig
from singulab.exact import (
    RLCT,
    NoOpinionError,
    RefutedError,
    check,
    formulas,
    from_model,
    rlct,
    rlct_of_ideal,
    second_opinion,
)
from singulab.exact.checker.chart import Chart
from singulab.exact.checker.polyhedron import normals
from singulab.exact.parse import expand, read
from singulab.exact.polynomial import inner

GROUPS = (
    "table",
    "bounded",
    "formulas",
    "random",
    "coordinates",
    "networks",
    "widths",
    "size",
    "contradictions",
    "opinion",
)
RADIUS = 0.125  # of the box around the origin in which volumes are taken
FAR, ERRORS = 0.05, 3.0  # a contradiction differs by more of λ, and by more reported errors
Term = tuple[int, tuple[int, ...]]


class Question(NamedTuple):
    """A row that is to be found."""

    group: str
    name: str
    ask: Callable[[], Row]


@dataclass(frozen=True, kw_only=True)
class Config(BenchConfig):
    """Prove learning coefficients and replay the proofs."""

    groups: tuple[str, ...] = GROUPS  # which parts are run
    draws: int = 70  # random ideals for each number of variables
    seed: int = 20261122  # of the random ideals and of the changes of coordinates
    time_limit: float = 10.0  # seconds for each random ideal
    time_limit_coordinates: float = 25.0  # seconds for each changed ideal
    time_limit_networks: float = 150.0  # seconds for each network and each row of the table
    time_limit_widths: float = 20.0  # seconds for each two-layer network
    most_parameters: int = 50  # of the networks of ``widths``
    num_volumes: int = 210  # random ideals that are compared with volumes, at most
    shard: str = "0/1"  # i/k: every k-th question from the i-th on
    folder: Path = Path("runs/exact")  # where finished rows are kept


# ── what is asked ─────────────────────────────────────────────────────────────────────────────────

NAMES = "xyzwv"


def text(terms: dict[tuple[int, ...], int], names: str) -> str:
    """A polynomial as a person writes it."""
    parts = []
    for a, c in terms.items():
        powers = "*".join(f"{n}^{e}" if e > 1 else n for n, e in zip(names, a, strict=True) if e)
        parts.append(f"{c:+d}*{powers}" if powers else f"{c:+d}")
    return "".join(parts) or "0"


def random_ideal(dice: random.Random, dim: int) -> list[str]:
    """1–3 generators of 2–4 terms of degree 2–4 with coefficients ±1, ±2; whatever is drawn is kept."""
    generators = []
    for _ in range(dice.randint(1, 3)):
        terms: dict[tuple[int, ...], int] = {}
        for _ in range(dice.randint(2, 4)):
            powers = [0] * dim
            for _ in range(dice.randint(2, 4)):
                powers[dice.randrange(dim)] += 1
            terms[tuple(powers)] = dice.choice((-2, -1, 1, 2))
        generators.append(text(terms, NAMES[:dim]))
    return generators


NINE = {
    "smooth and parabola": ["x + y^2", "z"],
    "cusp": ["x^2 - y^3"],
    "cone with a cubic": ["x^2 + y^2 + z^2 - w^3"],
    "one hidden unit twice": ["x*y + z*w"],
    "umbrella": ["x^2 - y^2*z"],
    "tanh, two units": ["x*y + z*w", "x*y^3 + z*w^3"],
    "all powers, two units": ["x*y + z*w", "x*y^2 + z*w^2"],
    "product and input": ["x*y", "x*z"],
    "nilpotent matrix": ["x^2 + y*z", "x*y + y*w", "x*z + z*w", "y*z + w^2"],
}


def changes(dice: random.Random, names: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Three unimodular changes of three or four elementary factors, and two with a quadratic shear added."""
    for kind in ("linear", "linear", "linear", "sheared", "sheared"):
        images = {n: n for n in names}
        for _ in range(dice.randint(3, 4)):
            i, j = dice.sample(names, 2)
            images = replaced(images, i, f"({i}{dice.choice('+-')}{j})")
        if kind == "sheared":
            i = dice.choice(names)
            j, k = (dice.choice([n for n in names if n != i]) for _ in range(2))
            images = replaced(images, i, f"({i}{dice.choice('+-')}{j}*{k})")
        yield kind, images


def replaced(images: dict[str, str], name: str, by: str) -> dict[str, str]:
    """The images with a text in the place of a variable."""
    return {n: "".join(by if letter == name else letter for letter in t) for n, t in images.items()}


def matrix_product(rows: int, inner: int, columns: int) -> list[str]:
    """Entries of the product of two matrices of variables: a linear network at rank 0."""
    return [
        "+".join(f"a{i}{k}*b{k}{j}" for k in range(inner))
        for i in range(rows)
        for j in range(columns)
    ]


def units(count: int, power: int, orders: int) -> list[str]:
    """Σ a_i b_i^{power·k+1}: a network of hidden units of Vandermonde type at the zero function."""
    return ["+".join(f"a{i}*b{i}^{power * k + 1}" for i in range(count)) for k in range(orders)]


NETWORKS: list[tuple[str, Any, str, int]] = [
    ("linear 2-2-2", matrix_product(2, 2, 2), "3/2", 1),
    ("linear 3-2-2", matrix_product(2, 2, 3), "2", 2),
    ("linear 2-3-2", matrix_product(2, 3, 2), "2", 2),
    ("linear 3-3-3", matrix_product(3, 3, 3), "7/2", 2),
    ("linear 4-4-4", matrix_product(4, 4, 4), "6", 1),
    ("linear 5-2-5", matrix_product(5, 2, 5), "9/2", 1),
    ("linear 5-5-5", matrix_product(5, 5, 5), "19/2", 2),
    ("tanh, H = 2", units(2, 2, 2), "2/3", 1),
    ("tanh, H = 3", units(3, 2, 3), "5/6", 1),
    ("all powers, H = 3", units(3, 1, 3), "1", 2),
]


# ── answers ───────────────────────────────────────────────────────────────────────────────────────


def asked(expression: Any, time_limit: float, **more: Any) -> tuple[RLCT, Row]:
    """The result, and what the record keeps of it; certificates go through JSON and the checker."""
    ask: Callable[..., RLCT] = rlct if isinstance(expression, str) else rlct_of_ideal
    return replayed(partial(ask, expression, time_limit=time_limit, **more))


def replayed(ask: Callable[[], RLCT]) -> tuple[RLCT, Row]:
    """What a search finds, and whether its certificate proves as much."""
    start = time.monotonic()
    found = ask()
    seconds = time.monotonic() - start
    start = time.monotonic()
    try:
        low, high = check(json.loads(json.dumps(found.to_dict()["certificate"])))
        accepted = low == high == found.upper if found.status == "proved" else low <= found.upper
    except RefutedError:
        accepted = False
    told = {
        "status": found.status,
        "rlct": None if found.value is None else str(found.value),
        "multiplicity": found.multiplicity,
        "lower": str(found.lower.rlct),
        "upper": str(found.upper.rlct),
        "seconds": round(seconds, 3),
        "check_seconds": round(time.monotonic() - start, 3),
        "certificate_accepted": accepted,
    }
    if found.reasons:
        told["reason"] = found.reasons[0]
    return found, told


def compared(ask: Callable[[], RLCT], value: str, multiplicity: int, parameters: int) -> Row:
    """A search beside a known value."""
    found, told = replayed(ask)
    truth = Fraction(value)
    right = found.lower.rlct <= truth <= found.upper.rlct
    if found.status == "proved":
        right = (found.value, found.multiplicity) == (truth, multiplicity)
    return {"parameters": parameters, "truth": f"{value}, {multiplicity}", **told, "right": right}


def variables(generators: Any) -> set[str]:
    """The variables of some texts."""
    texts = [generators] if isinstance(generators, str) else generators
    return {word for g in texts for word in re.findall("[a-z][0-9]*", g)}


def known(group: str, rows: Any, time_limit: float) -> Iterator[Question]:
    """Rows of a name, K or its generators, λ and m."""
    for name, expression, value, multiplicity in rows:
        ask: Callable[..., RLCT] = rlct if isinstance(expression, str) else rlct_of_ideal
        find = partial(ask, expression, time_limit=time_limit)
        size = len(variables(expression))
        yield Question(group, name, partial(compared, find, value, multiplicity, size))


def table(config: Config) -> Iterator[Question]:
    """Rows with known values; the tests hold them too."""
    from tests import known_rlct as rows

    limit = config.time_limit_networks
    yield from known("table", [(k, k, v, m) for k, v, m in (*rows.LOSSES, *rows.TRAPS)], limit)
    yield from known("table", [(k, k.split(","), v, m) for k, v, m in rows.MODELS], limit)
    for name, generators, at, value, m in rows.AT_POINTS:
        find = partial(rlct_of_ideal, generators, at, time_limit=limit)
        size = len(variables(generators))
        yield Question("table", name, partial(compared, find, value, m, size))
    for name, generators, value, m in rows.CORNERS:
        names = variables(generators)
        corner = dict.fromkeys(names, (0, None))
        find = partial(rlct_of_ideal, generators, domain=corner, time_limit=limit)
        yield Question("table", name, partial(compared, find, value, m, len(names)))
    for name, model, value, m in rows.REGRESSIONS:
        find = partial(from_model, **model, time_limit=limit)
        size = len(model["parameters"])
        yield Question("table", name, partial(compared, find, value, m, size))


def bounded(config: Config) -> Iterator[Question]:
    """Rows whose values are known otherwise and are not proved here."""
    from tests import known_rlct as rows

    yield from known("bounded", rows.BOUNDED, config.time_limit)


def closed_forms(config: Config) -> Iterator[Question]:
    """The published tables of closed forms."""
    from tests import known_rlct as rows

    for name, call, value, multiplicity in rows.FORMULAS:
        yield Question("formulas", name, partial(by_formula, call, value, multiplicity))


def by_formula(call: Callable[[Any], RLCT], value: str, multiplicity: int | None) -> Row:
    start = time.monotonic()
    found = call(formulas)
    m = found.multiplicity if multiplicity is not None else None
    return {
        "truth": value if multiplicity is None else f"{value}, {multiplicity}",
        "status": found.status,
        "rlct": str(found.value),
        "multiplicity": found.multiplicity,
        "seconds": round(time.monotonic() - start, 3),
        "certificate_accepted": True,
        "right": (found.value, m) == (Fraction(value), multiplicity),
    }


def drawn(config: Config) -> Iterator[Question]:
    for dim in (2, 3, 4):
        for k in range(config.draws):
            ideal = random_ideal(random.Random(f"{config.seed} {dim} {k}"), dim)
            name = f"{k}: {', '.join(ideal)}"
            find = partial(rlct_of_ideal, ideal, time_limit=config.time_limit)
            yield Question(f"random {dim}", name, lambda find=find: replayed(find)[1])


def moved(config: Config) -> Iterator[Question]:
    for name, ideal in NINE.items():
        names = "".join(sorted({c for g in ideal for c in g if c.isalpha()}))
        for k, (kind, images) in enumerate(changes(random.Random(f"{config.seed} {name}"), names)):
            there = ["".join(f"({images[c]})" if c in images else c for c in g) for g in ideal]
            ask = partial(moved_ideal, ideal, there, config.time_limit_coordinates)
            yield Question("coordinates", f"{name}, {kind} {k}", ask)


def moved_ideal(ideal: list[str], there: list[str], time_limit: float) -> Row:
    """An ideal in other coordinates."""
    truth = rlct_of_ideal(ideal)
    found, told = asked(there, time_limit)
    return {**told, "right": found.upper == truth.upper if found.status == "proved" else None}


def widths(config: Config) -> Iterator[Question]:
    """Every two-layer linear network, up to its transpose, and every tanh network, at the zero function."""
    most, limit = config.most_parameters, config.time_limit_widths
    for size in range(2, most + 1):
        for hidden in (h for h in range(1, size // 2 + 1) if size % h == 0):
            for fan_in in range(1, size // hidden // 2 + 1):
                fan_out = size // hidden - fan_in
                truth = formulas.reduced_rank(fan_in, hidden, fan_out, 0)
                ideal = matrix_product(fan_in, hidden, fan_out)
                find = partial(rlct_of_ideal, ideal, time_limit=limit)
                ask = partial(compared, find, str(truth.value), truth.multiplicity or 1, size)
                yield Question("widths", f"linear {fan_in}-{hidden}-{fan_out}", ask)
        if size % 2 == 0:
            truth = formulas.tanh_network(size // 2)
            find = partial(rlct_of_ideal, units(size // 2, 2, size // 2), time_limit=limit)
            ask = partial(compared, find, str(truth.value), truth.multiplicity or 1, size)
            yield Question("widths", f"tanh, H = {size // 2}", ask)


def sizes(config: Config) -> Iterator[Question]:
    for dim in (2, 3, 4, 5, 6):
        for degree in (2, 3, 4, 6, 8):
            ask = partial(size, config.seed, dim, degree)
            yield Question("size", f"{dim} variables, degree {degree}", ask)


def size(seed: int, dim: int, degree: int) -> Row:
    """Median time over ideals of two generators with three terms of one degree."""
    seconds, proved = [], 0
    for k in range(5):
        dice = random.Random(f"{seed} {dim} {degree} {k}")
        ideal = []
        for _ in range(2):
            terms: dict[tuple[int, ...], int] = {}
            for _ in range(3):
                powers = [0] * dim
                for _ in range(degree):
                    powers[dice.randrange(dim)] += 1
                terms[tuple(powers)] = dice.choice((-2, -1, 1, 2))
            ideal.append(text(terms, "xyzwvu"[:dim]))
        found, told = asked(ideal, 5.0)
        seconds.append(told["seconds"])
        proved += found.status == "proved"
    return {
        "dim": dim,
        "degree": degree,
        "proved_of_5": proved,
        "seconds": statistics.median(seconds),
        "certificate_accepted": True,
    }


# ── against volumes and against the complex numbers ───────────────────────────────────────────────


def volumes(config: Config) -> Iterator[Question]:
    """The random ideals again, taken in turn from each number of variables."""
    places = [(dim, k) for k in range(config.draws) for dim in (2, 3, 4)]
    for dim, k in places[: config.num_volumes]:
        ideal = random_ideal(random.Random(f"{config.seed} {dim} {k}"), dim)
        ask = partial(by_volume, ideal, dim, config.time_limit)
        yield Question("contradictions", f"{dim}.{k}: {', '.join(ideal)}", ask)


def by_volume(ideal: list[str], dim: int, time_limit: float) -> Row:
    """A proved value against the volume in a small box; if they differ, again with twice the moves."""
    found = rlct_of_ideal(ideal, time_limit=time_limit)
    if found.value is None:
        return {"status": found.status, "seconds": 0.0, "certificate_accepted": True}
    loss = partial(squares, [expand(read(g), NAMES[:dim]) for g in ideal])
    start, true = time.process_time(), float(found.value)
    plans = (
        Splitting(num_particles=250, num_populations=4, num_moves=24, num_levels=34),
        Splitting(num_moves=48),
    )
    for plan in plans:
        said = volume_exponent(loss, [(-RADIUS, RADIUS)] * dim, minimum=0.0, splitting=plan)
        contradicted = not abs(said.value - true) <= max(FAR * true, ERRORS * said.se)
        if not contradicted:
            break
    row = {
        "status": "proved",
        "rlct": str(found.value),
        "multiplicity": found.multiplicity,
        "exponent": round(said.value, 5),
        "se": round(said.se, 5),
        "verdict": said.multiplicity,
        "decades": round(said.curve.decades, 1),
        "moves_doubled": plan is plans[1],
        "contradicted": contradicted,
        "seconds": round(time.process_time() - start, 1),
        "certificate_accepted": True,
    }
    if contradicted:
        row["poles"] = [str(p) for p in poles(found)[:4]]
    return row


def squares(generators: list[Any], points: Any) -> Any:
    """Σ fᵢ² at points: never below 0, as the same polynomial multiplied out is by rounding."""
    columns = [points[..., i] for i in range(points.shape[-1])]
    total = 0.0
    for g in generators:
        value: Any = 0.0
        for a, c in g.items():
            term: Any = float(c)
            for column, e in zip(columns, a, strict=True):
                for _ in range(e):
                    term = term * column
            value = value + term
        total = total + value**2
    return total


def poles(found: RLCT) -> list[Fraction]:
    """Ratios of all facets in all charts of a certificate, the least first."""
    certificate = found.certificate or {}
    scale = 1 if certificate["problem"]["principal"] else 2
    ratios: set[Fraction] = set()

    def tell(event: str, chart: Chart, _: Any) -> None:
        points = {a[: chart.n] for g in chart.gens for a in g}.union(*chart.tails)
        if event == "ready" and points:
            around = normals(chart, sorted(points))
            met = (Fraction(inner(r, chart.weights)) / t for r, t in around if t > 0)
            ratios.update((chart.offset + ratio) / scale for ratio in met)

    check(certificate, tell)
    return sorted(ratios)


def opinions(config: Config) -> Iterator[Question]:
    """Complex thresholds beside real ones; without Macaulay2 there are no rows."""
    from tests import known_rlct as rows

    for name, expression, agrees in rows.OPINIONS:
        yield Question("opinion", name, partial(opinion, expression, agrees))


def opinion(expression: Any, agrees: bool) -> Row:
    start = time.monotonic()
    row: Row = {"certificate_accepted": True}
    try:
        said = second_opinion(expression, time_limit=60.0)
        row |= {"lct": str(said.lct), "complex_lower": str(said.lower)}
    except NoOpinionError as error:
        return row | {"status": "no opinion", "reason": str(error)[:80], "seconds": 0.0}
    row["macaulay2_seconds"] = round(time.monotonic() - start, 1)
    found, told = asked(expression, 10.0)
    equal = found.value == said.lower
    right = equal == agrees and (found.value is None or said.lower <= found.value)
    return {**row, **told, "equal": equal, "right": right}


# ── the run ───────────────────────────────────────────────────────────────────────────────────────

SOURCES: dict[str, Callable[[Config], Iterator[Question]]] = {
    "table": table,
    "bounded": bounded,
    "formulas": closed_forms,
    "random": drawn,
    "coordinates": moved,
    "networks": lambda config: known("networks", NETWORKS, config.time_limit_networks),
    "widths": widths,
    "size": sizes,
    "contradictions": volumes,
    "opinion": opinions,
}


def run(config: Config, on_progress: Callable[[str, float], None]) -> dict[str, Any]:
    """Ask what is not answered yet, with the shares that are promised."""
    if unknown := set(config.groups) - set(SOURCES):
        raise ValueError(f"The groups are {', '.join(GROUPS)}, got {', '.join(sorted(unknown))}.")
    questions = [q for group in config.groups for q in SOURCES[group](config)]
    questions = list({(q.group, q.name): q for q in questions}.values())
    shards = Shards(config.folder, config.shard, fingerprint(config))
    shards.fill([(named(q), partial(answered, q)) for q in questions], on_progress)
    done = shards.rows()
    rows = [done[named(q)] for q in questions if named(q) in done]
    summary = {name: share(rows, name) for name in dict.fromkeys(row["group"] for row in rows)}
    promises = promised(rows, summary)
    promises["every_question_was_asked"] = len(rows) == len(questions)
    wrong = [row["name"] for row in rows if row.get("right") is False]
    return {
        "rows": rows,
        "summary": summary,
        "wrong": wrong,
        "contradicted": [row for row in rows if row.get("contradicted")],
        "promises": promises,
        "passed": all(promises.values()),
    }


def named(question: Question) -> str:
    """What tells it from the others."""
    return f"{question.group}: {question.name}"


def answered(question: Question) -> Row:
    """One row."""
    return {"group": question.group, "name": question.name, **question.ask()}


def fingerprint(config: Config) -> str:
    """The digest of the code that rows depend on, and the limits."""
    limits = [v for k, v in sorted(vars(config).items()) if k.startswith("time") or k == "seed"]
    code = digest(sorted((Path(sl.__file__).parent / "exact").rglob("*.py")))
    return f"{code} {limits}"


def promised(rows: list[Row], summary: dict[str, Row]) -> dict[str, bool]:
    """Each promise, and whether it is kept."""
    randoms = [row for row in rows if row["group"].startswith("random")]
    kept = {
        "every_certificate_is_accepted": all(row["certificate_accepted"] for row in rows),
        "no_value_is_wrong": not any(row.get("right") is False for row in rows),
    }
    if randoms:
        share = sum(row["status"] == "proved" for row in randoms) / len(randoms)
        kept["random_ideals_92%"] = share >= 0.92
        kept["two_variables_100%"] = summary["random 2"]["proved"] == summary["random 2"]["asked"]
    if "coordinates" in summary:
        found = summary["coordinates"]
        kept["coordinates_80%"] = found["proved"] >= 0.8 * found["asked"]
    for group in ("table", "formulas"):
        if group in summary:
            kept[f"{group}_100%"] = summary[group]["proved"] == summary[group]["asked"]
    return kept


def share(rows: list[Row], group: str) -> Row:
    """How many of a group are proved, and in what time."""
    mine = [row for row in rows if row["group"] == group]
    seconds = [row["seconds"] for row in mine]
    proved = sum(row.get("status") == "proved" or row.get("proved_of_5", 0) == 5 for row in mine)
    return {
        "asked": len(mine),
        "proved": proved,
        "median_seconds": statistics.median(seconds),
        "longest_seconds": max(seconds),
    }
