"""What tells networks apart: their weights, and what their tokenizers make of a text."""

SAMPLE_TEXT = "Two cafés, 3 red bicycles!"


def update_by_weights(digest, network):
    """Update a digest by the names, the dtypes, the shapes and the values of all weights."""
    import torch

    for name, values in sorted(network.state_dict().items()):
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        # As bytes, since numpy has no bfloat16.
        digest.update(values.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
