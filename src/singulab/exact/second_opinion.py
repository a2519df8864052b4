"""A lower bound for λ by other means: Macaulay2 and Bernstein–Sato polynomials, as a process of its own.

Its ``lct`` is the log canonical threshold over the complex numbers, the least over the whole affine space. A
resolution by real centres is one over ℂ too, and λ is the least of the same ratios over the divisors that have real
points over w₀, so lct ≤ λ of the ideal. The two differ where the worst divisor has no real point: x² + y² + z² as K
has lct = 1 and λ = 3/2. Nothing is said of m, which may differ at equal values: x² + y² as K has m = 1 over ℝ, one
point, and 2 over ℂ, two lines.
"""

import re
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from singulab.errors import SingulabError
from singulab.exact.polynomial import told
from singulab.exact.problem import Problem, of_ideal, of_loss

_SCRIPT = """needsPackage "Dmodules";
R = QQ[{variables}];
<< "lct=" << toString lct ideal({generators}) << endl;
exit 0
"""


class NoOpinionError(SingulabError):
    """Macaulay2 is missing, failed, or did not finish in time."""


@dataclass(frozen=True)
class Opinion:
    """What Macaulay2 says."""

    lct: Fraction  # of the ideal, over ℂ and over the whole space
    lower: Fraction  # λ of K is at least this
    seconds: float
    script: str  # that was run

    def __str__(self) -> str:
        return f"λ ≥ {self.lower} by the complex threshold {self.lct} of the ideal"


def second_opinion(
    expression: Any,
    at: Mapping[str, Any] | None = None,
    *,
    program: str | Path | None = None,
    time_limit: float = 60.0,
) -> Opinion:
    """A complex lower bound for λ from Macaulay2, which is never imported but run as a program.

    Args:
        expression: K as for :func:`rlct`, or a list of generators as for :func:`rlct_of_ideal`.
        at: a point of the zero set; others are 0. The bound itself is that of the whole space.
        program: the M2 to run. Default: M2 on the path, else in ``sage_wheels/bin`` of this environment,
            where ``pip install --no-deps passagemath-macaulay2`` puts it.
        time_limit: seconds, after which the program is ended.

    Raises:
        NoOpinionError: no such program, or no answer.

    Source: M. Saito, On real log canonical thresholds, arXiv:0707.2308, for lct ≤ rlct.
    """
    principal = not isinstance(expression, Sequence) or isinstance(expression, str)
    ask = of_loss if principal else of_ideal
    problem = ask(expression, at, None, None)
    script = written(problem)
    start = time.monotonic()
    try:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "question.m2"
            file.write_text(script, encoding="utf-8")
            done = subprocess.run(
                [str(found(program)), "--script", str(file)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=time_limit,
                check=False,
            )
    except subprocess.TimeoutExpired as error:
        raise NoOpinionError(f"Macaulay2 did not answer within {time_limit:g} s.") from error
    except OSError as error:
        raise NoOpinionError(f"Macaulay2 cannot be run: {error}.") from error
    answer = re.search(r"^lct=(\d+(?:/\d+)?)\s*$", done.stdout, re.MULTILINE)
    if answer is None:
        said = (done.stderr or done.stdout).strip()[:200] or "nothing"
        raise NoOpinionError(f"Macaulay2 gave no threshold but said: {said}")
    lct = Fraction(answer[1])
    return Opinion(lct, problem.scale * lct, time.monotonic() - start, script)


def found(program: str | Path | None) -> Path:
    """The program."""
    wheel = Path(sysconfig.get_path("purelib")) / "sage_wheels" / "bin" / "M2"
    options = [program] if program is not None else [shutil.which("M2"), wheel]
    for option in options:
        if option is not None and Path(option).is_file():
            return Path(option)
    raise NoOpinionError(
        f"Macaulay2 was not found{'' if program is None else f' at {program}'}; put M2 on the path, name it as "
        f"program=…, or run: pip install --no-deps passagemath-macaulay2"
    )


def written(problem: Problem) -> str:
    """The question in Macaulay2's language, its variables renamed."""
    names = [f"x_{i}" for i in range(len(problem.variables))]
    generators = ", ".join(told(g, names) for g in problem.generators)
    return _SCRIPT.format(variables=", ".join(names), generators=generators)
