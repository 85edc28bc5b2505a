"""The device that a network runs on: chosen, usable after a fork, and right in its answers."""

import copy
import dataclasses
import functools
import os
import sys
import textwrap

import numpy as np

from .._optional import import_optional
from .._warnings import warn

_optional = functools.partial(import_optional, extra="clip", purpose="CLIPEncoder")
_forked_with_torch = _threads_limited = False


def _after_fork():
    # Torch's pool of threads did not come along: a parallel loop in the child would wait
    # for it forever.
    global _forked_with_torch, _threads_limited
    _forked_with_torch, _threads_limited = "torch" in sys.modules, False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def choose_device(device=None):
    """The device to run on: the one that is asked for, or the first of CUDA, MPS and CPU.

    Parameters
    ----------
    device : None, str, int or torch.device
        As torch takes it; capitals are read as small letters.

    Returns
    -------
    device : torch.device

    Raises
    ------
    ValueError
        If there is no such device here; the message lists those that there are.
    """
    torch = _optional("torch")
    n_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    here = [f"cuda:{k}" for k in range(n_cuda)]
    here += ["mps"] * torch.backends.mps.is_available() + ["cpu"]
    if device is None:
        return torch.device(here[0].removesuffix(":0"))
    advice = (
        f"Here there is {', '.join(here)}. With device=None the encoder chooses: "
        "set_params(device=None), or in a pipeline set_params(clipencoder__device=None)."
    )
    try:
        wanted = torch.device(device.strip().lower() if isinstance(device, str) else device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device={device!r} is no device that torch knows. {advice}") from error
    named = {*here, *(name.removesuffix(":0") for name in here), "mps:0" * ("mps" in here), "cpu:0"}
    if str(wanted) not in named:
        try:  # another accelerator that torch can use
            torch.zeros(1, device=wanted).cpu()
        except (RuntimeError, AssertionError, ImportError) as error:
            raise ValueError(f"device={device!r} is not to be had here. {advice}") from error
    return wanted


def usable_device(device):
    """The device with its index, or an error where a fork made it unusable."""
    global _threads_limited
    torch = _optional("torch")
    if _forked_with_torch and not _threads_limited:
        torch.set_num_threads(1)
        _threads_limited = True
    forked = _forked_with_torch and device.type == "mps"
    if device.type == "cuda":
        try:
            device = torch.zeros(1, device=device).device
        except RuntimeError as error:
            if "fork" not in str(error):
                raise
            forked = True
    if forked:
        raise RuntimeError(
            f"CLIPEncoder cannot use {device} in this process: it was forked from one that had "
            "used torch, and a GPU does not survive a fork. Start the workers with 'spawn' (or "
            "joblib's loky), load nothing before the fork, or use device='cpu'."
        )
    return device


def place(loaded, device, *, by_itself):
    """Move a network to its device; on MPS, only if it answers there as on the CPU."""
    if device.type == "mps":
        fault = _fault_on(loaded, device)
        if fault:
            what = "stays on the CPU" if by_itself else "gives wrong embeddings"
            warn(
                f"CLIPEncoder {what}: on {device} this network does not answer as on the CPU "
                f"({fault}). device={'mps' if by_itself else 'cpu'!r} chooses the other."
            )
            if by_itself:
                return loaded
    return dataclasses.replace(loaded, network=loaded.network.to(device), device=device)


def _fault_on(loaded, device):
    """What is wrong with a text's and a picture's embedding on a device; "" for nothing."""
    torch = _optional("torch")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    picture = loaded.preprocess(_optional("PIL.Image").fromarray(noise))[None]
    tokens = loaded.tokenize(["a red bicycle in snow"])[0]
    try:
        there = copy.deepcopy(loaded.network).to(device)
        for part, inputs in (("encode_text", tokens), ("encode_image", picture)):
            with torch.inference_mode():
                here = getattr(loaded.network, part)(inputs)
                other = getattr(there, part)(inputs.to(device)).cpu()
            cosine = float(torch.nn.functional.cosine_similarity(here, other))
            if not cosine > 0.999:
                return f"{part}: cosine {cosine:.3f}"
    except (RuntimeError, TypeError, AssertionError) as error:  # what the device cannot do
        return textwrap.shorten(str(error), 200)
    return ""
