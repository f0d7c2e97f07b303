import pytest

from edge_runner import ina
from edge_runner.power import PowerError


def registers(**values):
    return lambda register: values[f"r{register}"]


def test_an_ina219_multiplies_its_voltages():
    read = registers(r2=(1250 << 3) | 0b010, r1=4000)  # 1250 * 4 mV = 5 V; 4000 * 10 µV = 40 mV over 0.1 ohm = 0.4 A
    assert ina.ina219_watts(read, 0.1) == pytest.approx(5.0 * 0.4)


def test_an_ina226_multiplies_its_voltages():
    read = registers(r2=4000, r1=16000)  # 4000 * 1.25 mV = 5 V; 16000 * 2.5 µV = 40 mV over 0.02 ohm = 2 A
    assert ina.ina226_watts(read, 0.02) == pytest.approx(5.0 * 2.0)


def test_an_ina260_tells_its_current():
    assert ina.ina260_watts(registers(r2=4000, r1=800), 99) == pytest.approx(5.0 * 1.0)


def test_a_current_the_other_way_is_negative():
    assert ina.ina260_watts(registers(r2=4000, r1=0x10000 - 800), 1) == pytest.approx(-5.0)


def test_a_wiring_is_read():
    assert ina.wiring("INA219@1:0x40:0.05") == ("ina219", 1, 0x40, 0.05)
    assert ina.wiring("ina260@0:69") == ("ina260", 0, 69, 0.1)


@pytest.mark.parametrize(
    "given",
    ["", "ina219", "ina999@1:0x40", "ina219@1", "ina219@x:0x40", "ina219@1:0x400", "ina219@1:64:0", "ina219@1:64:1:2"],
)
def test_what_is_no_wiring_is_refused(given):
    with pytest.raises(ValueError, match="must be ina219, ina226 or ina260, then @BUS:ADDRESS"):
        ina.wiring(given)


def test_a_bus_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(PowerError, match=r"no sensor at address 0x40 of .*i2c-1: No such file"):
        ina.sensor_source(ina.wiring("ina219@1:0x40"), tmp_path)


def test_a_file_that_is_no_bus_is_an_error(tmp_path):
    (tmp_path / "i2c-1").write_bytes(b"12")
    with pytest.raises(PowerError, match="Inappropriate ioctl"):
        ina.sensor_source(ina.wiring("ina219@1:0x40"), tmp_path)


def test_every_reading_asks_the_registers_of_the_sensor_at_its_address(tmp_path, monkeypatch):
    asked = []
    (tmp_path / "i2c-1").write_bytes(b"")
    monkeypatch.setattr("fcntl.ioctl", lambda handle, request, address: asked.append((request, address)))
    monkeypatch.setattr("os.write", lambda handle, content: asked.append(content[0]))
    monkeypatch.setattr("os.read", lambda handle, count: (4000).to_bytes(2, "big"))
    source = ina.sensor_source(ina.wiring("ina260@1:0x41"), tmp_path)
    assert source.watts() == pytest.approx(5.0 * 5.0)
    assert asked == [(0x0703, 0x41), 2, (0x0703, 0x41), 1] * 2
    assert source.name == "ina260 at address 0x41 of I²C bus 1"
