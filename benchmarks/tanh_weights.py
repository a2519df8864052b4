"""Trains T1 and T2 and writes the weights that ship with the package.

    python benchmarks/tanh_weights.py

Each student starts from eight random points; the lowest minimum of the regularised loss is kept. The digits of
the minimum depend on the machine's arithmetic beyond about 1e-6, so the committed file is the definition of w*.
"""

import argparse
from pathlib import Path

from safetensors.torch import save_file

from singulab.zoo.tanh_network import NAMES, TANH_NETWORKS, WEIGHT_DECAY, minimum

WEIGHTS = Path(__file__).parents[1] / "src" / "singulab" / "zoo" / "tanh_weights.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=8)
    parser.add_argument("--output", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    shipped = {}
    for case in TANH_NETWORKS:
        best = None
        for seed in range(options.starts):
            weights = minimum(case, seed=seed)
            loss = float(case.mean_loss({name: part[None] for name, part in weights.items()})[0])
            decay = WEIGHT_DECAY / 2 * float(sum(part.square().sum() for part in weights.values()))
            print(f"{case.name} start {seed}: L_n {loss:.8f}, with weight decay {loss + decay:.8f}")
            if best is None or loss + decay < best[0]:
                best = loss + decay, weights
        shipped |= {f"{case.name}/{name}": best[1][name].contiguous() for name in NAMES}
    save_file(shipped, options.output, metadata={"made_by": "benchmarks/tanh_weights.py"})
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
