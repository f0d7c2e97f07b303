"""What a run on a workbench gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfcompress.reports.report import Report
    from tfcompress.tflite.export import TFLiteModel


@dataclass(frozen=True)
class Result:
    """What a run made.

    Attributes:
        model: the trained Keras model (for QAT with its fake quantization); the model itself when nothing was trained.
        tflite: the checked file in memory.
        report: what was done and what came out.
        folder: where it was written; None when no output was asked for.
    """

    model: Any
    tflite: TFLiteModel
    report: Report
    folder: Path | None

    def __repr__(self) -> str:
        """Say in a line what came out: ``Result(int8: 53,104 B, 92.90 %, in 'net-int8')``."""
        inside = repr(self.report).removeprefix("Report(").removesuffix(")")
        return f"Result({inside}{'' if self.folder is None else f', in {str(self.folder)!r}'})"

    def _repr_html_(self) -> str:
        """Return the float model beside the result, as notebooks show it."""
        return self.report._repr_html_()
