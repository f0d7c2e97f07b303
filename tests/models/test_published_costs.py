"""Parameters and multiply-accumulates against arithmetic by hand, and what is published of well-known networks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("keras")

from tfcompress.models.profile import profile


@dataclass(frozen=True)
class Convolution:
    """A convolution of the first kind that every book has, and what it costs by counting each product."""

    kernel: tuple[int, int]
    stride: int
    padding: str
    groups: int
    filters: int

    def layer(self, keras: Any, number: int) -> Any:
        return keras.layers.Conv2D(
            self.filters * self.groups, self.kernel, self.stride, self.padding, groups=self.groups, name=f"conv{number}"
        )

    def after(self, rows: int, columns: int, _: int) -> tuple[int, int, int]:
        sizes = [
            -(-size // self.stride) if self.padding == "same" else (size - window) // self.stride + 1
            for size, window in zip((rows, columns), self.kernel, strict=True)
        ]
        return sizes[0], sizes[1], self.filters * self.groups

    def products(self, shape: tuple[int, int, int]) -> int:
        rows, columns, filters = self.after(*shape)
        window = sum(1 for _ in product(*map(range, self.kernel), range(shape[2] // self.groups)))
        return sum(window for _ in product(range(rows), range(columns), range(filters)))

    def parameters(self, channels: int) -> int:
        own = self.filters * self.groups
        return self.kernel[0] * self.kernel[1] * (channels // self.groups) * own + own


CONVOLUTIONS = st.builds(
    Convolution,
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 2),
    padding=st.sampled_from(["same", "valid"]),
    groups=st.sampled_from([1, 2]),
    filters=st.integers(1, 3),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=CONVOLUTIONS, second=CONVOLUTIONS, units=st.integers(1, 5))
def test_a_small_network_costs_what_counting_every_product_gives(
    keras_module: Any, first: Convolution, second: Convolution, units: int
) -> None:
    second = Convolution(second.kernel, second.stride, second.padding, first.groups, second.filters)
    layers, shape = keras_module.layers, (9, 8, 2)
    between = first.after(*shape)
    end = second.after(*between)
    network = keras_module.Sequential(
        [
            keras_module.Input(shape),
            first.layer(keras_module, 1),
            second.layer(keras_module, 2),
            layers.Flatten(),
            layers.Dense(units),
        ]
    )
    flat = end[0] * end[1] * end[2]
    found = {layer.type: [] for layer in profile(network).layers}
    for layer in profile(network).layers:
        found[layer.type].append((layer.parameters, layer.macs))
    assert found == {
        "Conv2D": [
            (first.parameters(shape[2]), first.products(shape)),
            (second.parameters(between[2]), second.products(between)),
        ],
        "Flatten": [(0, 0)],
        "Dense": [(flat * units + units, flat * units)],
    }


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.integers(1, 6), features=st.integers(1, 4), units=st.integers(1, 4))
def test_a_recurrent_layer_costs_its_step_as_often_as_there_are_steps(
    keras_module: Any, steps: int, features: int, units: int
) -> None:
    layers = keras_module.layers
    for layer, gates in ((layers.SimpleRNN(units), 1), (layers.GRU(units), 3), (layers.LSTM(units), 4)):
        network = keras_module.Sequential([keras_module.Input((steps, features)), layer])
        step = gates * (features * units + units * units)
        assert profile(network).macs == sum(step for _ in range(steps))


PUBLISHED = {
    "MobileNet": (4_253_864, 569e6),  # Howard et al. 2017, arXiv:1704.04861, table 8: 569 million mult-adds
    "MobileNetV2": (3_538_984, 300e6),  # Sandler et al. 2018, arXiv:1801.04381, table 4: 300 M
    "ResNet50": (25_636_712, 7.72e9 / 2),  # Luo et al. 2017 (ThiNet), arXiv:1707.06342: 7.72 B FLOPs, two for each MAC
    "EfficientNetB0": (5_330_571, 0.386e9),  # torchvision's table; Tan and Le 2019, arXiv:1905.11946, round to 0.39 B
}
"""Parameters as keras.io lists them, and multiply-accumulates as papers do."""


@pytest.mark.networks
@pytest.mark.parametrize("name", PUBLISHED)
def test_networks_cost_what_is_published_of_them(keras_module: Any, name: str, capsys: Any) -> None:
    parameters, macs = PUBLISHED[name]
    found = profile(getattr(keras_module.applications, name)(weights=None, input_shape=(224, 224, 3)))
    with capsys.disabled():
        print(f"\n{name}: {found.parameters:,} of {parameters:,}; {found.macs:,} of {macs:,.0f}", end="")  # noqa: T201
    assert found.parameters == pytest.approx(parameters, rel=0.01)
    assert found.macs == pytest.approx(macs, rel=0.01)
