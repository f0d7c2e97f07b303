"""What is refused before anything slow happens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfcompress import files
from tfcompress.devices.config import find_timing_device
from tfcompress.devices.remote import check_reachable
from tfcompress.drop_limit import no_data, no_float
from tfcompress.errors import DataError, ModelError, UnsupportedError, UntrustedCodeError
from tfcompress.export_choices import MIXED_WITHOUT_DATA
from tfcompress.input_ranges import read_input_ranges
from tfcompress.recipe import Recipe
from tfcompress.stages.stage import TrainingStage
from tfcompress.targets.installed import check_installed, check_lookup_writer

if TYPE_CHECKING:
    from tfcompress.run import Run


def check_preconditions(
    model: Any, recipe: Recipe, *, has_data: bool, output: Path | None = None, force: bool = False
) -> bool:
    """Refuse before anything slow happens what is bound to fail: no TensorFlow is imported here.

    Returns:
        Whether the model is a file that is quantization-aware trained already.

    Raises:
        ModelError: a file that is no model.
        UnsupportedError: stages for a ``.tflite`` file, or one that is quantized already.
        UsageError: settings that are not for such a file.
        DataError: stages or int8 without data.
        OutputError: an output that cannot be written.
        MissingDependencyError: a target whose interpreter or compiler is not installed, or what writes look-up tables.
        UsageError: a device that there cannot be, or that measures no time.
        DeviceError: one that files are timed on cannot be reached.
    """
    qat = False
    if isinstance(model, str | Path):
        from tfcompress.models.probing import probe

        info = probe(Path(model))
        if info.kind == "tflite":
            _check_file(Path(model), recipe, has_data=has_data)
        qat = info.qat
    _check_sources(recipe)
    check_installed(recipe.export.deployment)
    check_lookup_writer(wanted=recipe.export.lookup)
    check_reachable(find_timing_device(recipe.export.device))
    if recipe.promises and qat:
        raise no_float()
    if recipe.promises and not has_data:
        raise no_data()
    if output is not None:
        files.check_target(output, force=force)
    if not has_data:
        _check_without_data(recipe, qat=qat, is_object=not isinstance(model, str | Path))
    return qat


def _check_file(model: Path, recipe: Recipe, *, has_data: bool) -> None:
    """Refuse what cannot be done to a ``.tflite`` file that is given in a model's place.

    Raises:
        UnsupportedError: stages or training, or a file that is no plain float32 file.
        UsageError: settings that are for Keras models.
        DataError: int8 or int16x8 without data.
        MissingDependencyError: what quantizes files is not installed.
        ModelError: a malformed file.
    """
    from tfcompress.tflite.flatbuffer import read_model_file
    from tfcompress.tflite.quantizer import check_quantizer
    from tfcompress.tflite.source_file import check_float, check_settings

    if recipe.stages or recipe.train.if_needed:
        what = f"{recipe.stages[0].kind} rewrites or trains" if recipe.stages else "--epochs trains"
        msg = (
            f"{what} a Keras model, and {str(model)!r} is a TFLite file, which can only be quantized (--quantize int8, "
            "say); give the Keras model it was made from"
        )
        raise UnsupportedError(msg)
    check_settings(recipe.export)
    check_float(read_model_file(model.read_bytes()), f"model {str(model)!r}")
    if recipe.export.needs_data and not has_data:
        msg = (
            f"quantize {recipe.export.quantize!r} of a .tflite file needs samples to calibrate activation ranges: give "
            "--data, or use 'dynamic' or 'float16', which need none"
        )
        raise DataError(msg)
    if recipe.export.quantize != "none":
        check_quantizer()


def need_keras(model: Any) -> None:
    """Refuse a ``.tflite`` file where a Keras model is trained or taken apart.

    Raises:
        ModelError: it is one.
    """
    from tfcompress.models.probing import probe

    if isinstance(model, str | Path) and probe(Path(model)).kind == "tflite":
        msg = f"model {str(model)!r} is a TFLite file already; give the Keras model it was made from"
        raise ModelError(msg)


def _check_sources(recipe: Recipe) -> None:
    """Refuse files of models that are not there, or are none."""
    from tfcompress.models.probing import probe

    for source in (source for stage in recipe.stages for source in stage.model_files):
        probe(Path(source))


def _check_without_data(recipe: Recipe, *, qat: bool, is_object: bool) -> None:
    if recipe.stages and not qat and not is_object:
        name = recipe.stages[-1].kind
        msg = (
            f"{name} trains the model, and needs data: give --data (an .npz with x_train, y_train, x_test, y_test, say)"
        )
        raise DataError(msg)
    if recipe.export.mixed:
        raise DataError(MIXED_WITHOUT_DATA)
    data_free = recipe.export.quantize == "int8" and not recipe.export.needs_samples
    if recipe.export.needs_data and not data_free and not qat and not any(stage.numbers for stage in recipe.stages):
        msg = (
            f"quantize {recipe.export.quantize!r} needs samples to calibrate activation ranges: give --data, "
            "or use 'int8' as it is, 'dynamic' or 'float16', which need none"
        )
        raise DataError(msg)


def check_stages(run: Run) -> None:
    """Refuse stages that this model cannot take, before any work.

    Args:
        run: with its model and data.

    Raises:
        UnsupportedError: stages on a model that is quantization-aware trained already, or whose graph is not known.
        UsageError: numbers that it was not trained for.
        DataError: no data to train on.
        RecipeError: a loss, an epoch to keep or a balance that the data cannot give.
        TfcompressError: what :func:`tfcompress.training.teaching.teaching_for` raises of teachers and students.
    """
    if run.loaded.qat:
        _check_trained_already(run)
    elif run.recipe.stages:
        if run.data is None:
            _check_without_data(run.recipe, qat=False, is_object=False)
            return
        if run.loaded.refusal:
            msg = f"model {run.loaded.source!r}: {run.loaded.refusal}"
            raise UnsupportedError(msg)
        from tfcompress.training.choices import check_training
        from tfcompress.training.teaching import teaching_for

        for note in check_training(run.data, run.recipe.train):
            run.warn(note)
        with run.progress.task("asking the teachers"):
            loading = {**run.loading, "loader": run.converter.loader}
            run.teaching = teaching_for(run.recipe, run.loaded, run.data, loading)
        for note in run.teaching.notes:
            run.warn(note)


def _check_trained_already(run: Run) -> None:
    from tfcompress.tflite.attempt import check_bits

    others = [stage.kind for stage in run.recipe.stages if not stage.numbers]
    if others:
        msg = f"the model is quantization-aware trained already; {others[0]} has to come before that"
        raise UnsupportedError(msg)
    check_bits(run.loaded.native, run.recipe.export)
    if run.recipe.stages:
        run.warn("the model is quantization-aware trained already: it was exported as it is, without training")


def calibration_warnings(run: Run, macs: int | None) -> tuple[str, ...]:
    """Look at the samples that a calibration would take; return what is wrong with them, a line each.

    Args:
        run: with its model; without data there is nothing to look at.
        macs: the model's multiply-accumulates of one sample; None: not known.

    Raises:
        DataError: data that cannot be read.
    """
    data = run.float_data
    if data is None:
        return ()
    from tfcompress.diagnosis.data_checkup import check_calibration

    try:
        model = run.loaded.keras3
    except UnsupportedError:  # its layers stay unknown; its samples need not
        model = None
    with run.phase("check calibration"), run.progress.task("checking the calibration samples"):
        remarks = check_calibration(model, data, run.recipe.export.sample_count, run.recipe.train.seed, macs=macs)
    return tuple(map(str, remarks))


def check_input_ranges(run: Run) -> None:
    """Refuse, before any work, an int8 export without data whose inputs' ranges are not known, or ranges without a use.

    Raises:
        UsageError: naming the inputs, or why their ranges would do nothing.
        UnsupportedError: a tf_keras model that cannot be carried over to Keras 3.
    """
    export = run.recipe.export
    if export.input_range:
        from tfcompress.tflite.calibrated import check_input_range

        check_input_range(run.loaded.native, export, has_data=run.data is not None)
    data_free = run.data is None and export.quantize == "int8" and not export.needs_samples
    if not data_free or run.recipe.stages or run.loaded.keras3 is None:
        return
    from tfcompress.quantization.known_inputs import ranges_of_inputs

    ranges_of_inputs(run.loaded.keras3, read_input_ranges(export.input_range))


def check_streaming(run: Run) -> None:
    """Refuse, before any training, a model that cannot be made one that streams.

    Raises:
        UnsupportedError: naming what cannot.
        UsageError: a hop that does not fit it.
    """
    export = run.recipe.export
    if not export.streaming:
        return
    from tfcompress.tflite.streaming_file import check_streamable, not_of_tfmot

    model = run.loaded.native if run.student is None else run.student
    check_streamable(model, hop=export.hop)
    trained = tuple(stage for stage in run.recipe.stages if isinstance(stage, TrainingStage))
    if any(stage.numbers for stage in trained):
        from tfcompress.engines.session import engine_for
        from tfcompress.models.kinds import keras_of

        if engine_for(trained, keras_of(model)).KERAS == "keras2":
            raise not_of_tfmot()


def check_deployment(run: Run) -> None:
    """Refuse a model without settled shapes for a target that plans its memory once; warn of odd widths.

    Raises:
        UnsupportedError: naming the input.
    """
    target = run.recipe.export.deployment
    free = next((spec for spec in run.loaded.signature.inputs if None in spec.shape), None)
    if target.micro and free is not None:
        from tfcompress.tflite.micro.process import shape_text

        msg = (
            f"target {target.name!r} plans its memory for one shape, and input {free.name!r} has axes of any size "
            f"({shape_text(free.shape)}); give the model a fixed input shape"
        )
        raise UnsupportedError(msg)
    for stage in run.recipe.stages:
        width = getattr(stage, "round_to", target.round_to)
        if width % target.round_to:
            run.warn(
                f"widths for target {target.name!r} go by {target.round_to}, and {stage.kind}.round_to {width} leaves "
                f"others: round_to {target.round_to} suits its kernels"
            )


def warn_of_lacking_ops(run: Run, float_file: bytes) -> None:
    """Tell, before any training, which ops of the float file a microcontroller lacks: few vanish on the way."""
    if not run.recipe.export.deployment.micro:
        return
    from tfcompress.tflite.micro.process import lacking_text
    from tfcompress.tflite.micro.proof import op_places_of, unlisted_text

    places = op_places_of(float_file, run.loaded.native)
    lacking = lacking_text(places) or unlisted_text(places, run.recipe.export.deployment)
    if lacking:
        run.warn(f"{lacking}; found in the float file, the finished file is refused if it still has them")


def check_code(recipe: Recipe, *, trust: bool) -> None:
    """Refuse a recipe that runs code of somebody's own, unless that is trusted: recipes are passed on like models.

    Raises:
        UntrustedCodeError: naming the stage and the code.
    """
    for stage in recipe.stages:
        if stage.code and not trust:
            msg = f"{stage.kind} runs the function {stage.code[0]!r}; give --trust if you know what it does"
            raise UntrustedCodeError(msg)
