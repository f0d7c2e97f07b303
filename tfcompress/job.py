"""Compression inside somebody's own training: ``attach`` stages to a model, train it, ``finish``.

Example::

    job = attach(model, Prune(sparsity=0.8), QAT())
    job.model.compile(optimizer, loss)
    job.model.fit(x, y, epochs=3, callbacks=[*mine, *job.callbacks])
    trained = job.finish()
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfcompress.errors import DataError, TfcompressError, UnsupportedError, UsageError
from tfcompress.models.kinds import keras_of
from tfcompress.models.own_call import refuse_own_call
from tfcompress.models.own_training import in_class_of, refuse_own_training
from tfcompress.recipe import STAGES, Stage, Train
from tfcompress.stages.decisions import PlanningContext, plan_stages
from tfcompress.stages.rewriting import RewritingContext, apply_rewriting
from tfcompress.stages.sequence import check_sequence
from tfcompress.stages.stage import RewritingStage
from tfcompress.tracking.epoch_values import fit_follower
from tfcompress.tracking.following import Following
from tfcompress.tracking.tracker_table import open_trackers

if TYPE_CHECKING:
    import numpy as np

    from tfcompress.distillation.teacher import Teacher
    from tfcompress.engines.callbacks import Hooks
    from tfcompress.engines.session import Engine, Session
    from tfcompress.models.samples import Samples
    from tfcompress.tracking.tracker import Tracker
    from tfcompress.weights.promises import Promise

TOLERANCE = 1e-4
"""Largest difference allowed between a finished model and its copy in the other Keras, relative to the outputs."""

SAMPLES = 4
"""Random samples on which the two are compared."""


class Job:
    """Stages applied to a copy of a model.

    Attributes:
        model: the model to compile and train; of the same Keras as the one that was given.
        callbacks: callbacks for ``fit``, of the same Keras; to be passed where there are any.
        engine: name of the engine that does the work.
        stages: what was asked for.
    """

    def __init__(self, session: Session, engine: Engine, given: Any, hooks: Hooks, stages: tuple[Stage, ...]) -> None:
        """Use :func:`attach`."""
        from tfcompress.engines.callbacks import callbacks
        from tfcompress.engines.checkpoints import Checkpoints

        self.engine: str = engine.NAME
        self.stages = stages
        self._session, self._given = session, given
        self._finished: list[Promise] | None = None
        self._crossed = keras_of(given) != engine.KERAS
        self.model: Any = _carried_by_keras3(session.model, given) if self._crossed else session.model
        plans = any(stage.step_count != "ignored" for stage in stages)
        self.callbacks: list[Any] = callbacks(hooks, _keras(given), plans=plans)
        self._hooks = hooks
        if any(stage.step_count == "required" for stage in stages):
            hooks.checkpoints = Checkpoints(session, self.model)

    @property
    def notes(self) -> list[str]:
        """What was left as it is and why, and what became of the schedules; sentences for a report."""
        return list(self._session.notes)

    @property
    def unfinished(self) -> bool:
        """Whether a schedule is not over yet: what is trained so far has not all the zeros and clusters asked for."""
        return self._session.unfinished

    def promises(self) -> list[Promise]:
        """Return what each stage promised about each kernel, and what the kernel has.

        Returns:
            A list of :class:`tfcompress.weights.promises.Promise`: of the model that :meth:`finish` gave last, where
            all are kept; before that, of the model in training, where some may not be kept yet.
        """
        return self._session.promises() if self._finished is None else list(self._finished)

    def loss_terms(self) -> dict[str, float]:
        """Return what ``task`` and ``teacher`` added to the loss of a step, on average since this was asked last.

        Empty without distillation: the loss is what the model was compiled with.
        """
        return self._session.loss_terms()

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return the least and largest value of each activation range of the model in training, by its layer's name."""
        return self._session.ranges()

    def state(self) -> dict[str, np.ndarray]:
        """Return what the stages remember beside the weights of ``job.model``, for a training that may be killed."""
        return self._session.state()

    def restore_(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up what :meth:`state` gave in a process that was killed; ``job.model`` has its weights again by now."""
        self._session.restore_(state)

    def finish(self) -> Any:
        """Return the finished model: of the user's Keras, apart from ``job.model``, with every promise kept.

        Pruned, clustered and distilled models come without any wrapper. With QAT the model keeps its fake quantization,
        which holds the ranges for the exported file: an ordinary Keras 3 model with layers of tfcompress; with tfmot as
        the engine a tf_keras model in its wrappers, or for a Keras 3 model one that runs such a model.

        Raises:
            UsageError: quantization-aware training that was never trained.
            ContractError: a promise is broken.
        """
        model, self._finished = self._session.finish()
        self._hooks.tell_of_checkpoints()
        if not self._crossed:
            return model
        if any(stage.keeps_wrappers for stage in self.stages):
            return _carried_by_keras3(model, self._given)
        return _in_keras3(model, self._given)


def attach(
    model: Any,
    *stages: Stage,
    train: Train | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    samples: Any = None,
    teacher: Any | None = None,
    trackers: Sequence[Tracker | str] = (),
) -> Job:
    """Prepare stages on a copy of a model, to be trained by an existing ``fit`` call or training loop.

    During a pruning of fewer than 2,000 steps the copy's BatchNormalization averages its statistics over a twentieth of
    the training, where its own momentum would reach further back: they have to keep up with weights that vanish.

    Args:
        model: a Keras 3 or tf_keras model, functional or Sequential, with trained weights (or what
            :func:`tfcompress.load_model` gives); never changed.
        *stages: what to do, all in one training; at most one of each kind. What rewrites the model comes
            first, and does so at once, before the training.
        train: the settings of the training, where there are any: its epochs and seed are used.
        epochs: epochs of the training; None: what ``fit`` says when it begins.
        steps_per_epoch: training steps an epoch; None: what ``fit`` says. A training loop without Keras's callbacks has
            to give both numbers when it prunes, and to call ``on_train_batch_end(step)`` of each of ``job.callbacks``.
        samples: a few hundred training samples, preprocessed: an array of shape ``(samples, *shape)``, or one for each
            input by name; or a pair of that and the labels. They set the first activation ranges of QAT, and criteria
            that look at activations or gradients need them; without them ranges start from the first batches.
        teacher: what distillation learns from in place of *model* as it was given: a model object, a path, what
            :func:`tfcompress.load_model` gave, or several of these (their mean); None: what the stage says.
        trackers: who follows each ``fit`` that gets ``job.callbacks``: losses, sparsity and ranges by epoch; as of
            :func:`tfcompress.compress`.

    Raises:
        UsageError: invalid stages or scopes, or something that is no model object.
        DataError: samples that do not fit the model.
        ModelError: the model was never built.
        UnsupportedError: a stage cannot work on this model; names the layers and what to do.
    """
    from tfcompress.models.loading import Loaded

    if isinstance(model, Loaded):
        model = model.native
    _check(model, stages)
    following = Following(open_trackers(trackers), _told)
    drawn = None if samples is None else _samples(model, samples)
    job = attach_to(
        model,
        stages,
        train=train,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        samples=drawn,
        teachers=_teachers(model, stages, teacher, drawn),
    )
    if following.active:
        job.callbacks.append(fit_follower(_keras(model), job, following))
    return job


def _told(text: str) -> None:
    warnings.warn(text, stacklevel=2)


def attach_to(
    model: Any,
    stages: tuple[Stage, ...],
    *,
    train: Train | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    samples: Samples | None = None,
    teachers: Sequence[Teacher] = (),
) -> Job:
    """Do what :func:`attach` does, for stages that were checked; without any, a copy is trained as it is (Keras 3).

    *teachers* are loaded already; of none, the model as it was given is learnt from.
    """
    from tfcompress.engines.callbacks import Hooks
    from tfcompress.engines.session import engine_for

    refuse_own_call(model)
    keras, seed = keras_of(model), train.seed if train else 0
    engine = engine_for(stages, keras)
    if keras == "keras2" and engine.KERAS == "keras3":
        msg = (
            "the native engine works on Keras 3 models, and this is a tf_keras one; leave engine='native' and stages "
            "that only it has out, or carry it over with tfcompress.load_model(model).keras3"
        )
        raise UsageError(msg)
    if keras != engine.KERAS:
        refuse_own_training(model, f"engine {engine.NAME!r} trains it in the other Keras")
    _check_outputs(model, stages)
    given = model
    model, notes = _rewritten(model, [stage for stage in stages if isinstance(stage, RewritingStage)], samples, seed)
    in_training = tuple(stage for stage in stages if stage.phase == "train")
    if keras == "keras3":
        in_training, told = plan_stages(model, in_training, PlanningContext(samples=samples, seed=seed))
        notes += told
    graph = model if keras == engine.KERAS else _to_keras2(model)
    if not teachers and model is not given and any(stage.teaches for stage in stages):
        teachers = _own_teacher(given)
    session = engine.open_session(graph, in_training, seed=seed, samples=samples, teachers=teachers)
    session.notes[:0] = notes
    known = epochs if epochs is not None else (train.epochs if train else None)
    must_plan = any(stage.step_count == "required" for stage in stages)
    hooks = Hooks(session, epochs=known, steps_per_epoch=steps_per_epoch, must_plan=must_plan)
    return Job(session, engine, model, hooks, stages)


def _own_teacher(model: Any) -> tuple[Teacher, ...]:
    from tfcompress.distillation.teacher import own_teacher

    return (own_teacher(model),)


def _teachers(model: Any, stages: Sequence[Stage], given: Any, samples: Samples | None) -> tuple[Teacher, ...]:
    """Load whom the user, or the stage, named; none: nobody did."""
    stage: Any = next((stage for stage in stages if stage.teaches), None)
    if stage is None:
        return ()
    if stage.student:
        msg = (
            f"{stage.kind}.student is for compress and export; in attach, give the student as the model and what it "
            "learns from as teacher="
        )
        raise UsageError(msg)
    several = isinstance(given, list | tuple)
    sources = list(given) if several else [given] if given is not None else list(stage.teacher)
    if not sources:
        return ()
    from tfcompress.data.class_names import read_class_names
    from tfcompress.models.signature import signature_of
    from tfcompress.teachers import Schooling, engage

    inputs = None if samples is None else samples.inputs
    classes = read_class_names(stage.teacher_classes or None)
    about = Schooling(signature_of(model), inputs, preprocess=stage.teacher_preprocess, classes=classes)
    return tuple(engage(source, {}, about).teacher for source in sources)


def _samples(model: Any, given: Any) -> Samples:
    """Return samples by input name, checked against the model."""
    import numpy as np

    from tfcompress.models.samples import Samples
    from tfcompress.models.signature import signature_of

    if isinstance(given, Samples):
        return given
    inputs, labels = given if isinstance(given, tuple) and len(given) == 2 else (given, None)
    specs = signature_of(model).inputs
    arrays = inputs if isinstance(inputs, Mapping) else {specs[0].name: inputs}
    missing = [spec.name for spec in specs if spec.name not in arrays]
    if missing:
        msg = f"samples must hold an array for each input by name, got none for {', '.join(missing)}"
        raise DataError(msg)
    found = {spec.name: np.asarray(arrays[spec.name]).astype(spec.dtype) for spec in specs}
    for spec in specs:
        shape = found[spec.name].shape[1:]
        fits = len(shape) == len(spec.shape) and all(b in (None, a) for a, b in zip(shape, spec.shape, strict=True))
        if not fits or not len(found[spec.name]):
            msg = f"samples of input {spec.name!r} must have shape (n, {spec.shape}), got {found[spec.name].shape}"
            raise DataError(msg)
    return Samples(found, labels)


def _rewritten(
    model: Any, stages: Sequence[RewritingStage], samples: Samples | None, seed: int
) -> tuple[Any, list[str]]:
    """Return the model as the stages rewrite it, one after the other, and what there is to say about it."""
    notes: list[str] = []
    for stage in stages:
        if stage.cycles > 1:
            msg = (
                f"{stage.kind}.cycles must be 1 in attach, got {stage.cycles}: remove a part, train, finish, and "
                "attach again; or let tfcompress.compress do all cycles"
            )
            raise UsageError(msg)
        if stage.tune_epochs:
            msg = (
                f"{stage.kind}.tune_epochs must be 0 in attach, got {stage.tune_epochs}: train the model before you "
                "attach; or let tfcompress.compress do both"
            )
            raise UsageError(msg)
        if stage.input_size is not None:
            msg = (
                f"{stage.kind} with a size of pictures ({stage.input_size.text}) is for compress and export, which "
                "read the data at that size; leave it out in attach"
            )
            raise UsageError(msg)
        if stage.preparation:
            msg = (
                f"{stage.preparation} asks for a training before the model is rewritten, which attach does not do: add "
                f"the callbacks of {stage.prepares.replace(':', '.')}(model, stage) to your own fit, then attach "
                "without it; or let tfcompress.compress do both"
            )
            raise UsageError(msg)
    for stage in stages:
        found = apply_rewriting(model, stage, RewritingContext(samples=samples, seed=seed))
        model = in_class_of(found.model, model)
        notes += found.notes
    return model, notes


def _check(model: Any, stages: tuple[Stage, ...]) -> None:
    given = [type(stage).__name__ for stage in stages if type(stage) not in STAGES.values()]
    if given or not stages:
        known = ", ".join(cls.__name__ for cls in STAGES.values())
        msg = f"attach needs stages ({known}) after the model, got {', '.join(given) or 'none'}"
        raise UsageError(msg)
    check_sequence(stages, "attach takes", UsageError)
    if hasattr(model, "tfcompress_graph"):
        msg = f"model {model.name!r} holds stages of another job; attach all stages together, to the plain model"
        raise UnsupportedError(msg)
    if keras_of(model) == "savedmodel":
        msg = f"attach needs a model object, got the path {str(model)!r}; load it first with tfcompress.load_model"
        raise UnsupportedError(msg)


def _check_outputs(model: Any, stages: tuple[Stage, ...]) -> None:
    """Refuse to train a model whose outputs are all whole numbers, as behind ``argmax``: no gradient comes through."""
    from tfcompress.models.graph import is_graph
    from tfcompress.models.signature import signature_of

    if not is_graph(model):
        return  # refused by the engines, in words of their own
    outputs = signature_of(model).outputs
    if any(stage.phase == "train" for stage in stages) and not any("float" in spec.dtype for spec in outputs):
        names = ", ".join(f"{spec.name!r} ({spec.dtype})" for spec in outputs)
        msg = (
            f"model {model.name!r} gives whole numbers only ({names}), through which nothing can be trained; train and "
            "export the model that ends before that (keras.Model(model.input, LOGITS)), or export this one without "
            "stages: int8 needs none"
        )
        raise UnsupportedError(msg)


def _keras(model: Any) -> Any:
    if keras_of(model) == "keras3":
        import keras

        return keras
    import tf_keras

    return tf_keras


def _to_keras2(model: Any) -> Any:
    from tfcompress.models.bridge import to_keras2

    return to_keras2(model)


def _carried_by_keras3(graph: Any, given: Any) -> Any:
    from tfcompress.engines.tfmot.carrier import carrier_model

    return carrier_model(graph, given)


def _in_keras3(model: Any, given: Any) -> Any:
    """Return a Keras 3 model of the user's own layers with the weights of a finished tf_keras model."""
    import keras
    import numpy as np

    from tfcompress.models.keras_private import all_layers
    from tfcompress.models.precision import in_float32
    from tfcompress.models.signature import call, random_inputs, signature_of

    result = keras.models.clone_model(given)
    result.set_weights(model.get_weights())
    for layer in all_layers(result):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    inputs = random_inputs(signature_of(result), SAMPLES, seed=0)
    expected, got = (list(call(each, inputs).values()) for each in (model, in_float32(result)[0]))
    for a, b in zip(expected, got, strict=True):
        difference = float(np.abs(a.astype(np.float64) - b).max(initial=0.0))
        if not difference <= TOLERANCE * max(1.0, float(np.abs(a).max(initial=0.0))):
            msg = f"the finished model computes something else in Keras 3: outputs differ by {difference:.3g}"
            raise TfcompressError(msg)
    return result
