"""CLIPEncoder: embeddings of texts and pictures from any network that open_clip knows."""

from sklearn.utils._param_validation import StrOptions

from ._clip_model import choose_precision, load_model
from ._encoder import Encoder
from ._model_names import check_model_name


class CLIPEncoder(Encoder, auto_wrap_output_keys=None):
    """Encode texts and pictures with a CLIP network of open_clip.

    Nothing is learned in `fit`. The network is loaded at the first `transform`, kept once per
    process, shared by clones, and never pickled.

    Parameters
    ----------
    model : str, default="ViT-B-32/laion2b_s34b_b79k"
        Network and weights:

        - ``"ARCHITECTURE/TAG"``: pretrained weights that open_clip knows by name;
        - ``"ARCHITECTURE/FILE"``: a checkpoint file. The activation is part of the
          architecture's name (``ViT-B-32-quickgelu``);
        - ``"hf-hub:ORG/NAME"``: a repository of the Hugging Face hub;
        - ``"local-dir:PATH"``: a folder with ``open_clip_config.json`` and weights;
        - ``"pocket"``: a small network that comes with the library, to try things offline. It
          knows only drawn scenes (see `gapremoval.datasets.make_scenes`);
        - ``"ARCHITECTURE/random"``: random weights, for tests.
    device : str or torch.device, default=None
        Device of the network. None chooses CUDA, then MPS, then the CPU.
    precision : {"auto", "float32", "float16", "bfloat16"}, default="auto"
        Precision of the network's arithmetic. ``"auto"`` is bfloat16 on CUDA (float16 on cards
        without it) and float32 elsewhere. The embeddings are float32 in any case.
    batch_size : int, default=64
        Number of texts or pictures per forward pass. It is halved, with one warning, when the
        memory of the device is too small.
    output : {"numpy", "torch"}, default="numpy"
        Type of the embeddings; ``"torch"`` puts them on the device of the network.
    n_jobs : int, default=None
        Number of threads that decode and resize pictures while the network runs. None and -1
        mean one per core.
    memory : str, Path or joblib.Memory, default=None
        Cache folder. Each row is stored under the network's weights, the precision and the
        content of its item, and is not encoded again: not for another candidate of a grid
        search, not after an interrupted run, and not when other files of a folder have
        changed.
    verbose : bool, default=False
        Whether to show a progress bar.

    See Also
    --------
    Query : Marks an item as a query.
    read_folder : Items and ids from a folder of pictures and text files.
    explode_documents : Items and ids from records.
    gapremoval.datasets.make_scenes : Pictures and captions for the model ``"pocket"``.

    Notes
    -----
    Pictures are turned upright by their EXIF data, transparent parts become white, and a file
    with several frames gives its first one.

    A JPEG file that is much larger than the network's input is decoded at 1/8, 1/4 or 1/2 of
    its size, if that divides both edges and leaves at least 4 times the input. This takes less
    time and memory, and the cosine with the embedding of the full size is above .9999.

    A thread needs about 8 bytes per pixel of the picture that it decodes, and pictures that
    have more than 2**25 pixels even then are decoded one at a time. So `n_jobs` threads
    together need less than ``n_jobs * 256`` MiB and 8 bytes per pixel of the largest picture.
    Pictures that were opened with ``PIL.Image.open`` and not loaded do not stay decoded.

    An interrupt (``KeyboardInterrupt``) ends `transform` without waiting for pictures that are
    being decoded. With `memory`, the rows of finished batches are kept.

    libtiff, the library with which Pillow decodes TIFF files, prints its own messages about
    damaged files to the standard error of the process.

    References
    ----------
    .. [1] Radford et al., "Learning Transferable Visual Models From Natural Language
       Supervision", ICML 2021.
    .. [2] Ilharco et al., OpenCLIP, 2021, https://doi.org/10.5281/zenodo.5143773.

    Examples
    --------
    >>> from pathlib import Path
    >>> from gapremoval import CLIPEncoder, MixedModalityRetriever, ModalityGapRemover, search
    >>> from sklearn.pipeline import make_pipeline
    >>> pipe = make_pipeline(CLIPEncoder(), ModalityGapRemover(), MixedModalityRetriever())
    >>> items = ["a note on bicycles", Path("photos/snow.jpg")]
    >>> found = search(pipe.fit(items), "a red bicycle in snow")  # doctest: +SKIP
    """

    _parameter_constraints = {
        **Encoder._parameter_constraints,
        "precision": [StrOptions({"auto", "float32", "float16", "bfloat16"})],
    }

    def __init__(
        self,
        model="ViT-B-32/laion2b_s34b_b79k",
        *,
        device=None,
        precision="auto",
        batch_size=64,
        output="numpy",
        n_jobs=None,
        memory=None,
        verbose=False,
    ):
        self.model = model
        self.device = device
        self.precision = precision
        self.batch_size = batch_size
        self.output = output
        self.n_jobs = n_jobs
        self.memory = memory
        self.verbose = verbose

    def _check_model(self):
        check_model_name(self.model)

    def _load(self):
        model = load_model(self.model, self.device)
        return model, choose_precision(self.precision, model.device)

    def _lasting_name(self):
        name = check_model_name(self.model)
        if name.form == "file":
            return f"{name.architecture}/{name.rest}"
        return f"local-dir:{name.rest}" if self.model.startswith("local-dir:") else self.model
