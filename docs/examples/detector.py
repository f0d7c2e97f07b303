"""A task of one's own: an object detector in the manner of SSD (Liu et al. 2016, ECCV, arXiv:1512.02325).

The model has one output of shape (anchors, 4 + 1 + classes): for each anchor box, where the object lies beside it, and
a logit for the background and for each class. Labels are (objects, 5): class number, top, left, bottom, right, as
fractions of the image; rows of class -1 fill up what has fewer objects.

It is used by ``tfcompress export --task detector:SHAPES …``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tfcompress.errors import DataError
from tfcompress.tasks.label_form import LabelForm, Shape
from tfcompress.tasks.task import NO_INPUTS, Evaluation, Inputs, Task

if TYPE_CHECKING:
    import tensorflow as tf


SPREAD = (0.1, 0.1, 0.2, 0.2)
"""What offsets are divided by, so that their size is that of the logits."""
MATCHED, APART = 0.5, 0.4
"""An anchor whose overlap with an object is at least the first learns it, and below the second the background."""
NEGATIVES = 3
"""So many anchors of background learn for each that learns an object: those that are most wrong."""
LEAST_SCORE, SAME_OBJECT, FOUND = 0.05, 0.45, 0.5
"""Detections are at least so sure; of two that overlap so far one goes; and so far a right one overlaps its object."""


class Detector(Task):
    """Boxes and classes of what is in a picture.

    Args:
        grid: cells down and across.
        sizes: of the square anchors in each cell, as fractions of the image.
        classes: how many there are.
    """

    name = "detector"
    figures = ("map50",)
    teaching = "numbers"
    constant = "finding nothing"

    def __init__(self, grid: int, sizes: tuple[float, ...], classes: int) -> None:
        self.grid, self.sizes, self.class_count = grid, sizes, classes

    @property
    def anchors(self) -> np.ndarray:
        """Middle and size of each anchor, (anchors, 4): down, across, height, width, as fractions of the image."""
        middles = (np.arange(self.grid) + 0.5) / self.grid
        down, across, size = np.meshgrid(middles, middles, np.array(self.sizes), indexing="ij")
        return np.stack([down, across, size, size], axis=-1).reshape(-1, 4)

    def fits(self, y: np.ndarray, shape: Shape) -> bool:
        """Tell whether there are rows of five for an output of this shape."""
        return y.ndim == 3 and y.shape[-1] == 5 and tuple(shape) == (len(self.anchors), 5 + self.class_count)

    def allowed(self, shape: Shape) -> str | None:
        """Return them in words."""
        return "rows of class, top, left, bottom, right, with class -1 where there is no object"

    def encode(self, y: np.ndarray, rows: np.ndarray, form: LabelForm) -> np.ndarray:
        """Return the rows as they are, float32, shape (samples, objects, 5)."""
        boxes = y.astype(np.float32)
        classes, corners = boxes[..., 0], boxes[..., 1:]
        bad = (classes != np.floor(classes)) | (classes < -1) | (classes >= self.class_count)
        bad |= (classes >= 0) & ((corners[..., 2:] <= corners[..., :2]).any(-1) | ~np.isfinite(corners).all(-1))
        samples = np.flatnonzero(bad.any(axis=1))
        if len(samples):
            wanted = f"rows of a class in -1..{self.class_count - 1}, top < bottom and left < right"
            row = boxes[samples[0]][bad[samples[0]]][0].tolist()
            msg = f"data: {form.where} must hold {wanted}, sample {rows[samples[0]]:,} has {row}"
            raise DataError(msg)
        return boxes

    def targets(self, inputs: Inputs, labels: Any) -> np.ndarray:
        """Return what each anchor is to learn, (samples, anchors, 5).

        That is the number of its class, counted from 1, 0 for the background or -1 for nothing, and the four offsets.
        """
        return np.stack([self._of_one(boxes[boxes[:, 0] >= 0]) for boxes in labels])

    def _of_one(self, objects: np.ndarray) -> np.ndarray:
        anchors = self.anchors
        wanted = np.zeros((len(anchors), 5), np.float32)
        if not len(objects):
            return wanted
        shared = overlaps(corners_of(anchors), objects[:, 1:])
        shared[shared.argmax(axis=0), np.arange(len(objects))] = 1.0  # each object has an anchor, however far it lies
        best, nearest = shared.max(axis=1), shared.argmax(axis=1)
        wanted[:, 0] = np.where(best >= MATCHED, objects[nearest, 0] + 1, np.where(best < APART, 0, -1))
        wanted[:, 1:] = offsets(objects[nearest, 1:], anchors)
        return wanted

    def loss(self, outputs: np.ndarray, keras: Any) -> Any:
        """Return :func:`detection_loss`."""
        return detection_loss

    def scorer(self) -> Scorer:
        """Return what collects detections."""
        return Scorer(self)

    def decode(self, output: np.ndarray) -> np.ndarray:
        """Return what an output, (anchors, 4 + 1 + classes), detects, (detections, 6).

        They go from the surest down: class, probability, top, left, bottom, right.
        """
        boxes = placed(output[:, :4], self.anchors)
        logits = output[:, 4:].astype(np.float64)
        sure = np.exp(logits - logits.max(axis=1, keepdims=True))
        sure /= sure.sum(axis=1, keepdims=True)
        kept = []
        for number in range(self.class_count):
            scores = sure[:, number + 1]
            for place in not_the_same(boxes, scores):
                kept.append([number, scores[place], *boxes[place]])
        return np.array(sorted(kept, key=lambda row: -row[1])).reshape(-1, 6)


class Scorer:
    """Collects what is detected and what is there."""

    def __init__(self, task: Detector) -> None:
        self.task = task
        self.detected: list[np.ndarray] = []
        self.objects: list[np.ndarray] = []

    def add(self, outputs: np.ndarray, labels: Any, inputs: Inputs = NO_INPUTS) -> None:
        """Take one batch."""
        self.detected += [self.task.decode(output) for output in outputs]
        self.objects += [boxes[boxes[:, 0] >= 0] for boxes in labels]

    def evaluation(self) -> Evaluation:
        """Return the mean average precision, in which no sample has a share by itself."""
        if not self.objects:
            msg = "a score needs samples, got none"
            raise DataError(msg)
        value = mean_average_precision(self.detected, self.objects)
        counted = {"task": self.task.name, "samples": len(self.objects), "map50": value}
        return Evaluation(self.task.score(counted), None)


def detection_loss(targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Return the loss of each sample: cross-entropy of the classes and smooth L1 of the offsets.

    Both are divided by the number of anchors that learn an object (equations 1 and 2 of the paper).

    Args:
        targets: see :meth:`Detector.targets`.
        outputs: (samples, anchors, 4 + 1 + classes).
    """
    import tensorflow as tf

    outputs = tf.cast(outputs, tf.float32)
    classes = tf.cast(targets[..., 0], tf.int32)
    is_object, is_background = (tf.cast(which, tf.float32) for which in (classes > 0, classes == 0))
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(classes, 0), outputs[..., 4:])
    objects = tf.maximum(tf.reduce_sum(is_object, axis=1, keepdims=True), 1.0)
    wrong = tf.argsort(tf.argsort(entropy * is_background, direction="DESCENDING"))
    hard = is_background * tf.cast(tf.cast(wrong, tf.float32) < NEGATIVES * objects, tf.float32)
    apart = tf.abs(outputs[..., :4] - targets[..., 1:])
    smooth = tf.reduce_sum(tf.where(apart < 1.0, 0.5 * apart**2, apart - 0.5), axis=-1)
    return tf.reduce_sum((entropy * (is_object + hard) + smooth * is_object) / objects, axis=1)


def corners_of(boxes: np.ndarray) -> np.ndarray:
    """Return top, left, bottom, right of boxes given as middle and size, (boxes, 4)."""
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)


def offsets(corners: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Return where boxes lie beside their anchors, (boxes, 4): section 2.2 of the paper, over :data:`SPREAD`."""
    sizes = corners[:, 2:] - corners[:, :2]
    middles = (corners[:, 2:] + corners[:, :2]) / 2
    apart = np.concatenate([(middles - anchors[:, :2]) / anchors[:, 2:], np.log(sizes / anchors[:, 2:])], axis=1)
    found: np.ndarray = apart / np.array(SPREAD)
    return found


def placed(values: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Return the corners of the boxes that lie so beside their anchors: :func:`offsets` the other way round."""
    apart = values * np.array(SPREAD)
    middles = apart[:, :2] * anchors[:, 2:] + anchors[:, :2]
    return corners_of(np.concatenate([middles, np.exp(np.minimum(apart[:, 2:], 4.0)) * anchors[:, 2:]], axis=1))


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the intersection over union of each box with each other, (first, second); both are corners, (boxes, 4)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = np.prod(np.maximum(high - low, 0.0), axis=-1)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1) for boxes in (first, second)]
    shares: np.ndarray = both / (areas[0][:, None] + areas[1][None] - both)
    return shares


def not_the_same(boxes: np.ndarray, scores: np.ndarray) -> list[int]:
    """Return the places of sure boxes, the surest first, without those that overlap a surer one (NMS)."""
    left = [int(place) for place in np.argsort(-scores, kind="stable") if scores[place] >= LEAST_SCORE]
    kept = []
    while left:
        first, *others = left
        kept.append(first)
        shared = overlaps(boxes[[first]], boxes[others])[0]
        left = [place for place, share in zip(others, shared, strict=True) if share <= SAME_OBJECT]
    return kept


def right(detected: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Tell of each detection in one image whether it is an object that no surer one is, (detections,) bool."""
    found = np.zeros(len(detected), bool)
    taken = np.zeros(len(objects), bool)
    shared = overlaps(detected[:, 2:], objects[:, 1:])
    for place, row in enumerate(detected):
        share = np.where((objects[:, 0] == row[0]) & ~taken, shared[place], 0.0)
        if len(share) and share.max() >= FOUND:
            found[place] = taken[share.argmax()] = True
    return found


def mean_average_precision(detected: list[np.ndarray], objects: list[np.ndarray]) -> float:
    """Return the mean over classes of the area under precision by recall, at an overlap of one half.

    Precision at a recall is the best at any recall as high (Everingham et al. 2015, IJCV 111:98, section 4.2).

    Args:
        detected: of each image (detections, 6), see :meth:`Detector.decode`.
        objects: of each image (objects, 5), see this module's docstring; at least one in all.
    """
    marked = [np.c_[rows, right(rows, there)] for rows, there in zip(detected, objects, strict=True)]
    every, there = np.concatenate(marked), np.concatenate(objects)
    return float(np.mean([_average_precision(every, there, number) for number in np.unique(there[:, 0])]))


def _average_precision(every: np.ndarray, there: np.ndarray, number: float) -> float:
    rows = every[every[:, 0] == number]
    hits = np.cumsum(rows[np.argsort(-rows[:, 1], kind="stable"), -1])
    precision = hits / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    gained = np.diff(hits, prepend=0) / np.count_nonzero(there[:, 0] == number)
    return float((best * gained).sum())


SHAPES = Detector(grid=8, sizes=(0.22, 0.4), classes=2)
"""For the model and the pictures that ``shapes.py`` makes."""
