"""A quick draft of the file that a model would become: to look at, never to keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfcompress.errors import TfcompressError
from tfcompress.export_choices import PACKINGS, default_packings
from tfcompress.settings import ANY_AGREEMENT_DB, Export

if TYPE_CHECKING:
    import numpy as np

    from tfcompress.diagnosis.target_checkup import TargetDraft
    from tfcompress.progress import Progress
    from tfcompress.targets.target import Target
    from tfcompress.tflite.convert import ConverterProcess

_SAMPLES, _RUN = 16, 8


def draft_for(
    network: Any,
    target: Target,
    inputs: Mapping[str, np.ndarray] | None,
    converter: ConverterProcess,
    *,
    seed: int,
    progress: Progress,
) -> TargetDraft | str:
    """Return a draft of a model's file: int8 where the target takes that; in float where there is none.

    Args:
        network: a Keras 3 model.
        target: where the file is to run.
        inputs: samples by input name, arrays of shape (samples, *shape); None: random ones do, as sizes and ops do not
            hang on them.
        converter: converts.
        seed: draws samples.
        progress: where progress goes.

    Returns:
        The draft, or why there is none.
    """
    from tfcompress.diagnosis.target_checkup import TargetDraft
    from tfcompress.models.signature import padding_of, signature_of
    from tfcompress.models.specs import random_inputs
    from tfcompress.tflite.export import export

    samples = inputs or random_inputs(signature_of(network), _SAMPLES, seed, padding=padding_of(network))
    quantize: Any = "int8" if "int8" in target.schemes else target.schemes[0]
    refusal = ""
    integers: dict[str, Any] = {"calibration": "minmax", "float_ops": "allow"}
    for wanted in dict.fromkeys((quantize, "none")):
        try:
            chosen = integers if wanted in ("int8", "int16x8") else {}
            settings = Export(quantize=wanted, packings=(), min_agreement_db=ANY_AGREEMENT_DB, **chosen)
            with progress.task(f"drafting a file ({wanted})"):
                content = export(
                    network, settings, data=dict(samples), converter=converter, progress=False, seed=seed
                ).content
        except TfcompressError as error:
            refusal = refusal or f"no file with quantize {wanted!r} can be made: {error}"
            continue
        return TargetDraft(
            content, _packed_size(content), wanted, {name: x[:_RUN] for name, x in samples.items()}, refusal
        )
    return refusal


def _packed_size(content: bytes) -> int:
    for name in default_packings():
        content = PACKINGS[name].load()(content, keep_names=False)
    return len(content)
