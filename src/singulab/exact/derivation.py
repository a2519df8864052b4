"""A certificate as a text that a student can follow: it is replayed, and each chart is told on the way."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from singulab.exact.checker.chart import NEVER, Chart
from singulab.exact.checker.core import check
from singulab.exact.checker.polyhedron import normals
from singulab.exact.polynomial import inner, told
from singulab.exact.result import RLCT

_LONGEST = 110  # letters of a line of generators
_MOST_LINES = 400

_KINDS = {
    "y": "small",
    "x": "small and positive",
    "f": "free",
    "u": "positive and not small",
    "c": "an algebraic number",
}


def derivation(found: RLCT) -> str:
    """The steps of a certificate in words, then the result."""
    certificate = found.certificate or {}
    if "problem" not in certificate:
        lines = [f"{key}: {value}" for key, value in certificate.items()]
        return "\n".join([*lines, *found.reasons, str(found)])
    problem = certificate["problem"]
    narrator = Narrator(Fraction(1, 1 if problem["principal"] else 2), problem["variables"])
    check(certificate, narrator)
    lines = [*_question(problem), *narrator.lines]
    if len(lines) > _MOST_LINES:
        lines = [
            *lines[:_MOST_LINES],
            f"… and {len(lines) - _MOST_LINES} more lines of charts like these.",
        ]
    lines += [f"stratum {stratum}" for stratum in found.strata]
    lines += [f"Open: {reason}." for reason in found.reasons]
    return "\n".join([*lines, "", f"Result: {found}"])


def _question(problem: Any) -> list[str]:
    names = problem["variables"]
    generators = [told({tuple(t[1:]): t[0] for t in g}, names) for g in problem["generators"]]
    if problem["principal"]:
        lines = [f"K = {generators[0]}"]
    else:
        lines = ["K is as large as the sum of the squares of", *(f"    {g}" for g in generators)]
        lines.append("λ of K is half of λ of this ideal.")
    point = problem.get("point") or problem.get("origin")
    if any(p != "0" for p in point):
        shifts = ", ".join(f"{n} = {p}" for n, p in zip(names, point, strict=True))
        lines.append(f"Coordinates are differences from {shifts}.")
    sides = [n for n, o in zip(names, problem.get("onesided", ()), strict=False) if o]
    if sides:
        lines.append(f"Only one side counts of {', '.join(sides)}, which is 0 or more.")
    if any(problem["powers"]):
        prior = "·".join(f"|{n}|^{h}" for n, h in zip(names, problem["powers"], strict=True) if h)
        lines.append(f"The prior behaves like {prior}.")
    return lines


class Narrator:
    """Collects a line or two for each chart that the checker comes to."""

    def __init__(self, scale: Fraction, names: Sequence[str]) -> None:
        self.scale, self.names = scale, list(names)
        self.lines: list[str] = []
        self.depth = self.count = 0
        self.first = True

    def __call__(self, event: str, chart: Chart, more: Any) -> None:
        if event == "chart":
            self.count += 1
            self._say(f"Chart {self.count}. {self._variables(chart)}")
            self._generators(chart, "the generators are" if self.depth else "the generators")
            self.depth += 1
        elif event == "ready":
            for name, *step in more.get("steps", []):
                self._say(self._step(name, step))
            if more.get("steps"):
                self._generators(chart, "leaves")
            self._rule(chart, more)
        else:
            self.depth -= 1
            low, high = (self._pair(p) for p in more)
            if low == high:
                self._say(f"so the chart has {low}.")
            else:
                self._say(f"so the chart has no less than {low}.")

    def _say(self, text: str) -> None:
        self.lines.append("  " * self.depth + text)

    def _names(self, chart: Chart) -> list[str]:
        if self.count == 1 and len(chart.kinds) == len(self.names) and self.depth <= 1:
            return self.names
        return [f"{kind}{i}" for i, kind in enumerate(chart.kinds)]

    def _variables(self, chart: Chart) -> str:
        groups: dict[str, list[str]] = {}
        for kind, name in zip(chart.kinds, self._names(chart), strict=True):
            groups.setdefault(kind, []).append(name)
        text = "; ".join(f"{', '.join(names)} {_KINDS[kind]}" for kind, names in groups.items())
        weights = [
            f"|{n}|^{w - 1}"
            for n, w in zip(self._names(chart), chart.weights, strict=False)
            if w != 1
        ]
        return text + (f"; density {'·'.join(weights)}" if weights else "")

    def _generators(self, chart: Chart, verb: str) -> None:
        names = self._names(chart)
        texts = [
            told(g, names) + (" + tail" if t else "")
            for g, t in zip(chart.gens, chart.tails, strict=True)
        ]
        line = "   ".join(t if len(t) < 60 else t[:57] + "…" for t in texts) or "nothing"
        self._say(f"{verb}: {line if len(line) < _LONGEST else line[: _LONGEST - 1] + '…'}")

    def _step(self, name: str, step: Sequence[Any]) -> str:
        number = f"generator {step[0] + 1}" if step and isinstance(step[0], int) else ""
        return {
            "mix": "generators are combined by an invertible matrix",
            "drop": f"terms of {number} that a monomial generator bounds are left out",
            "unit": f"{number} is a monomial times a unit",
            "solve": f"{number} becomes a coordinate, up to a monomial",
            "series": f"{number} becomes a coordinate, a power series with a tail",
            "shear": "a variable is translated by a polynomial of others",
            "square": "a square is completed, which adds ½",
            "free": "a variable that no generator contains is left out",
        }[name]

    def _rule(self, chart: Chart, branch: Any) -> None:
        if not chart.gens:
            return
        if "split" in branch:
            self._say("generators in separate variables: λ adds, and so does m − 1")
            return
        if "group" in branch:
            self._say(f"{len(branch['group'])} variables are blown up together, up to symmetry:")
            return
        if branch.get("end") == "above":
            self._say("its monomials alone leave less volume than another chart has")
            return
        points = sorted({a[: chart.n] for g in chart.gens for a in g}.union(*chart.tails))
        ratios = [
            (Fraction(inner(r, chart.weights)) / t, r, t)
            for r, t in normals(chart, points)
            if t > 0
        ]
        if ratios:
            value, ray, least = min(ratios)
            self._say(
                f"Newton rule: the weights {ray} have ⟨ω, h+1⟩ = {inner(ray, chart.weights)} and give the ideal "
                f"order {least}, so λ_I ≤ {value}"
                + (f" + {chart.offset} from coordinates" if chart.offset else "")
            )
        faces = branch.get("faces", [])
        closed = sum("none" in f or "smooth" in f for f in faces)
        if closed:
            self._say(
                f"{closed} faces whose forms vanish only where that is harmless, by an identity"
            )
        if len(faces) > closed:
            self._say(
                f"{len(faces) - closed} faces whose forms vanish somewhere: new coordinates there"
            )

    def _pair(self, pair: tuple[Fraction, int]) -> str:
        if pair == NEVER:
            return "no zero"
        m = "" if pair[1] < -1000 else f", m = {-pair[1]}"
        return f"λ = {self.scale * pair[0]}{m}"
