"""Before anything of ours is imported: shapes and types are checked, nothing is downloaded."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import jaxtyping

jaxtyping.install_import_hook("singulab", "beartype.beartype")

import torch

torch.set_num_threads(2)
