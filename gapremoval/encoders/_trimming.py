"""Shorter token batches for the text towers of open_clip, which expect their full length."""

import copy

# Trimming exchanges tensors inside a tower; its code was read in this version of open_clip.
KNOWN_VERSION = "3.3."


def can_trim(network, tokenizer):
    """Whether `encode_trimmed` gives what ``network.encode_text`` gives.

    True of causal text towers that read a text off at its end, since they never look at the
    padding behind it, and only in versions of open_clip whose code is known.

    Parameters
    ----------
    network : torch.nn.Module
    tokenizer : callable
        open_clip's tokenizer of the network.

    Returns
    -------
    bool
    """
    import open_clip

    tower = getattr(network, "text", network)
    return (
        open_clip.__version__.startswith(KNOWN_VERSION)
        # Another tokenizer may pad with its highest number, and "argmax" would find that.
        and isinstance(tokenizer, open_clip.SimpleTokenizer)
        and getattr(tower, "attn_mask", None) is not None
        and getattr(tower, "text_pool_type", getattr(tower, "pool_type", None)) == "argmax"
        and getattr(tower, "cls_emb", None) is None
        and not getattr(tower, "output_tokens", False)
    )


def encode_trimmed(network, tokens):
    """Embeddings of tokens without the padding behind the longest text.

    Parameters
    ----------
    network : torch.nn.Module
        One for which `can_trim` is true.
    tokens : LongTensor of shape (n_texts, n_tokens)
        On the network's device; n_tokens is at most its context length.

    Returns
    -------
    embeddings : Tensor of shape (n_texts, n_features)
        Not normalized.
    """
    n_tokens = tokens.shape[1]
    # A shallow copy of the tower with shorter tensors; all weights are shared.
    tower = copy.copy(getattr(network, "text", network))
    positions = tower.positional_embedding[:n_tokens]
    tower._parameters = {**tower._parameters, "positional_embedding": positions}
    mask = tower.attn_mask[:n_tokens, :n_tokens]
    tower._buffers = {**tower._buffers, "attn_mask": mask}
    return tower.encode_text(tokens) if hasattr(tower, "encode_text") else tower(tokens)
