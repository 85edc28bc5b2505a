"""The device of a network: chosen, usable after a fork, and correct in its results."""

import copy
import dataclasses
import os
import sys
import textwrap

from .._optional import import_optional
from .._warnings import warn

_forked_with_torch = False


def _after_fork():
    global _forked_with_torch
    _forked_with_torch = "torch" in sys.modules


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def choose_device(device=None):
    """The device that was asked for, or the first of CUDA, MPS and CPU that is available.

    Parameters
    ----------
    device : None, str, int or torch.device
        As torch accepts it, in upper or lower case.

    Returns
    -------
    device : torch.device

    Raises
    ------
    ValueError
        If the device is not available; the message lists those that are.
    """
    torch = import_optional("torch", extra="clip", purpose="An encoder")
    counts = {
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
        "cpu": 1,
    }
    if device is None:
        return torch.device(next(kind for kind, count in counts.items() if count))
    available = [f"cuda:{k}" for k in range(counts["cuda"])] + ["mps"] * counts["mps"] + ["cpu"]
    advice = (
        f"Available here: {', '.join(available)}. device=None chooses one of them: "
        "set_params(device=None), or in a pipeline pipe[0].set_params(device=None)."
    )
    try:
        wanted = torch.device(device.strip().lower() if isinstance(device, str) else device)
        if (wanted.index or 0) >= counts.get(wanted.type, 0):
            if wanted.type in counts:
                raise RuntimeError("there is no such device here")
            torch.zeros(1, device=wanted).cpu()  # another accelerator that torch can use
    except (RuntimeError, TypeError, AssertionError, ImportError) as error:
        reason = textwrap.shorten(str(error), 200)
        raise ValueError(f"device={device!r} cannot be used ({reason}). {advice}") from error
    return wanted


def usable_device(device):
    """The device with its index.

    Raises
    ------
    RuntimeError
        If it is a GPU, and this process was forked from one that had used torch.
    """
    import torch

    if _forked_with_torch:
        # The threads of torch's pool are not in the child: a parallel loop would never end.
        torch.set_num_threads(1)
    is_lost = _forked_with_torch and device.type == "mps"
    if device.type == "cuda":
        try:
            return torch.zeros(1, device=device).device
        except RuntimeError as error:
            if "fork" not in str(error):
                raise
            is_lost = True
    if is_lost:
        raise RuntimeError(
            f"An encoder cannot use {device} in this process: it was forked from one that had "
            "used torch, and a GPU does not survive a fork. Start the workers with 'spawn' or "
            "joblib's loky, load nothing before the fork, or use device='cpu'."
        )
    return device


def place(loaded, device, *, by_itself):
    """Move a network to a device; to MPS by itself only if the results there are correct.

    Parameters
    ----------
    loaded : LoadedModel
        On the CPU.
    device : torch.device
    by_itself : bool
        Whether the device was chosen by `choose_device`, not by the user.

    Returns
    -------
    LoadedModel

    Warns
    -----
    UserWarning
        If the results on MPS differ from those on the CPU.
    """
    if device.type == "mps" and (fault := _fault_on(loaded, device)):
        what = "stays on the CPU" if by_itself else "computes wrong embeddings"
        warn(
            f"The network {what}: its results on {device} differ from those on the CPU ({fault}). "
            f"device={'mps' if by_itself else 'cpu'!r} selects the other."
        )
        if by_itself:
            return loaded
    return dataclasses.replace(loaded, network=loaded.network.to(device), device=device)


def _fault_on(loaded, device):
    """How the embeddings of a text or a picture on a device differ from the CPU's, or ""."""
    import torch

    try:
        there = copy.deepcopy(loaded.network).to(device)
        there = dataclasses.replace(loaded, network=there, device=device).probe()
        for kind, expected in loaded.probe().items():
            cosine = float(torch.nn.functional.cosine_similarity(expected, there[kind]))
            if not cosine > 0.999:
                return f"{kind}: cosine {cosine:.3f}"
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:  # it cannot do it
        return textwrap.shorten(str(error), 200)
    return ""
