"""Writes the table of docs/evidence.md from the newest record of `singulab bench evidence`.

Nothing is computed here.
"""

import json
import re
from pathlib import Path
from typing import Any

from singulab.report.table import Table, rounded

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "evidence.md"
BEGIN, END = "<!-- begin: evidence -->\n", "<!-- end: evidence -->"
SECTION = re.compile(f"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})", re.DOTALL)

CLAIMS = {
    1: "The stationary law of SGD is ∝ e^{−βL}.",
    2: "A Gibbs sampler visits f in proportion to e^{−βL(f)}·|A⁻¹(f)|.",
    3: "A-complexity is close to the complexity of the function itself.",
    4: "The simplest function, and its A-complexity, are all that there is to see.",
    5: "The disk at the origin of θ₁θ₂ holds of the order of η/ε² points.",
    6: "The row at kε holds of the order of η/(kε²) points, and all points but the disk sum to √η/ε.",
    7: "As η/ε² → 0 the origin takes everything.",
    8: "The origin is privileged, as it is in singular learning theory.",
    9: "For f = θ₁θ₂ gradient descent will more likely pick θ = 0.",
    10: "Nothing draws SGD to singular points rather than to broad basins.",
    11: "A minimum of rank r in d weights has volume ε^{r/2+(d−r)/3}.",
    12: "Lower rank means more singular and more volume.",
    13: "At a self-intersection the Hessian is not defined.",
    14: "Singular points are where the tangent space jumps and more directions open.",
    15: "The discrete picture is harder to compute with than the continuum.",
    16: "If smoothness mattered, lower precision would hurt generalisation.",
    17: "The learning rate 2N·n_b/D, for N weights, batches of n_b and D data, reproduces Bayes.",
    18: "On a torus homoskedastic noise converges, so that noise that varies with place explains nothing.",
    19: "The noise of SGD favours flatter points.",
    20: "Analyticity is a pernicious assumption.",
    21: "Stopping early near (0, 0) is better than near (0, 1).",
    22: "The worst singularity dominates as n → ∞.",
}


def page() -> str:
    """The page with its table up to date."""
    return SECTION.sub(lambda _: section(), PAGE.read_text(encoding="utf-8"))


def section() -> str:
    """What stands between the marks."""
    files = sorted((ROOT / "benchmarks" / "records").glob("*_evidence.json"))
    if not files:
        return "There is no record in this checkout; `singulab bench evidence` makes one.\n"
    name = files[-1].relative_to(ROOT).as_posix()
    return told(json.loads(files[-1].read_bytes()), f"[{name}](../{name})")


def told(record: dict[str, Any], where: str) -> str:
    """One claim after the other, each with its numbers."""
    rows, before = [], None
    for one in record["rows"]:
        claim = one["claim"]
        rows.append(
            (
                str(claim) if claim != before else "",
                CLAIMS[claim] if claim != before else "",
                f"`{one['function']}`",
                one["quantity"],
                number(one["value"], one["se"]),
                plain(one["claimed"]),
                plain(one["theory"]),
                reading(one["as_claimed"], one["passed"]),
            )
        )
        before = claim
    columns = (
        "claim",
        "what it says",
        "function",
        "number",
        "value",
        "if the claim is right",
        "theory",
        "it is",
    )
    return (
        f"From {where}, made by `singulab bench evidence` on {record['date'][:10]}.\n\n"
        f"{Table(columns, tuple(rows)).markdown()}\n"
    )


def reading(as_claimed: bool | None, as_theory: bool | None) -> str:
    """What the number says, in a few words."""
    words = [
        f"{'' if holds else 'not '}as {what}"
        for holds, what in ((as_claimed, "claimed"), (as_theory, "theory says"))
        if holds is not None
    ]
    return ", ".join(words) or "reported"


def number(value: float, se: float) -> str:
    """``value ± se``, or four digits of an exact number."""
    if max(abs(value), se) < 1e-6 and se > 0:
        return f"{value:.0e} ± {se:.0e}"
    return rounded(value, se) if se > 1e-9 * abs(value) else plain(value)


def plain(value: float | None) -> str:
    """Four digits."""
    return "–" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
