"""Texas Instruments' current sensors on the I²C bus, read without any driver: INA219, INA226, INA260."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from edge_runner.power import PowerError, PowerSource, Sampled

_SET_ADDRESS = 0x0703
"""ioctl I2C_SLAVE of Linux's i2c-dev."""
_BUS_VOLTAGE, _SHUNT = 2, 1
_DEFAULT_OHM = 0.1

Read = Callable[[int], int]
"""Register's number to its 16 bits."""


class Wiring(NamedTuple):
    """Where a sensor is: ``ina219@1:0x40:0.1`` is an INA219 on bus 1, address 0x40, with a shunt of 0.1 ohm."""

    chip: str
    bus: int
    address: int
    ohm: float


def wiring(given: str) -> Wiring:
    """Read ``CHIP@BUS:ADDRESS`` or ``CHIP@BUS:ADDRESS:OHM``.

    Raises:
        ValueError: it is something else.
    """
    allowed = "ina219, ina226 or ina260, then @BUS:ADDRESS and the shunt's :OHM, as in ina219@1:0x40:0.1"
    chip, _, place = given.lower().partition("@")
    parts = place.split(":")
    try:
        ohm = float(parts[2]) if len(parts) > 2 else _DEFAULT_OHM
        found = Wiring(chip, int(parts[0]), int(parts[1], 0), ohm)
    except (ValueError, IndexError) as error:
        msg = f"must be {allowed}, got {given!r}"
        raise ValueError(msg) from error
    if chip not in _WATTS or len(parts) > 3 or not ohm > 0 or not 0 <= found.address < 128:
        msg = f"must be {allowed}, got {given!r}"
        raise ValueError(msg)
    return found


def sensor_source(where: Wiring, device: Path = Path("/dev")) -> PowerSource:
    """Return the sensor at *where*.

    Raises:
        PowerError: there is no such bus, this user may not use it, or nothing answers.
    """
    read = _bus(device / f"i2c-{where.bus}", where.address)

    def watts() -> float:
        return _WATTS[where.chip](read, where.ohm)

    watts()
    return Sampled(f"{where.chip} at address {where.address:#x} of I²C bus {where.bus}", watts)


def _bus(path: Path, address: int) -> Read:
    import fcntl

    def read(register: int) -> int:
        try:
            handle = os.open(path, os.O_RDWR)
            try:
                fcntl.ioctl(handle, _SET_ADDRESS, address)
                os.write(handle, bytes([register]))
                return int.from_bytes(os.read(handle, 2), "big")
            finally:
                os.close(handle)
        except OSError as error:
            msg = f"no sensor at address {address:#x} of {path}: {error.strerror}"
            raise PowerError(msg) from error

    return read


def _signed(bits: int) -> int:
    return bits - 0x10000 if bits & 0x8000 else bits


def ina219_watts(read: Read, ohm: float) -> float:
    """Return watts: bus voltage in steps of 4 mV above three status bits, shunt voltage of 10 µV (SBOS448, 8.6.3)."""
    return (read(_BUS_VOLTAGE) >> 3) * 4e-3 * _signed(read(_SHUNT)) * 10e-6 / ohm


def ina226_watts(read: Read, ohm: float) -> float:
    """Return watts: bus voltage in steps of 1.25 mV, shunt voltage of 2.5 µV (SBOS547, 7.6)."""
    return read(_BUS_VOLTAGE) * 1.25e-3 * _signed(read(_SHUNT)) * 2.5e-6 / ohm


def ina260_watts(read: Read, ohm: float) -> float:
    """Return watts: bus voltage in steps of 1.25 mV, current of 1.25 mA through its own shunt (SBOS656, 7.6)."""
    return read(_BUS_VOLTAGE) * 1.25e-3 * _signed(read(_SHUNT)) * 1.25e-3


_WATTS = {"ina219": ina219_watts, "ina226": ina226_watts, "ina260": ina260_watts}
