import stat
import sys
import time

import pytest

from edge_runner import power


def tree(root, **files):
    """Files under *root* by their path, with / for __."""
    for path, content in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"{content}\n")
    return root


RAPL = "sys/class/powercap/intel-rapl:"


def rapl(root, package, *, dram=None, limit=1_000_000):
    tree(root, **{f"{RAPL}0/name": "package-0", f"{RAPL}0/energy_uj": package, f"{RAPL}0/max_energy_range_uj": limit})
    tree(root, **{f"{RAPL}0:0/name": "core", f"{RAPL}0:0/energy_uj": 5})
    if dram is not None:
        tree(root, **{f"{RAPL}0:1/name": "dram", f"{RAPL}0:1/energy_uj": dram, f"{RAPL}0:1/max_energy_range_uj": limit})
    return root


def test_rapl_adds_packages_and_memory_but_no_part_of_a_package(tmp_path):
    source = power.Rapl(rapl(tmp_path, 100_000, dram=10))
    assert source.usable
    result, joules, seconds = source.measure(lambda: rapl(tmp_path, 600_000, dram=40) and "done")
    assert (result, joules) == ("done", pytest.approx((500_000 + 30) / 1e6))
    assert 0 < seconds < 5


def test_a_counter_that_wraps_around_goes_on(tmp_path):
    source = power.Rapl(rapl(tmp_path, 900_000))
    assert source.measure(lambda: rapl(tmp_path, 100_000))[1] == pytest.approx(0.2)


def test_counters_that_cannot_be_read_are_not_usable(tmp_path):
    assert not power.Rapl(tmp_path).usable
    source = power.Rapl(rapl(tmp_path, "no number"))
    assert not source.usable
    with pytest.raises(power.PowerError, match="RAPL counters cannot be read any more"):
        source.measure(lambda: None)


def test_watts_are_sampled_while_the_call_runs_and_their_mean_counts():
    readings = iter([2.0, 4.0] * 1000)
    result, joules, seconds = power.Sampled("meter", lambda: next(readings)).measure(lambda: time.sleep(0.2) or 7)
    assert result == 7
    assert 0.2 <= seconds < 5
    assert 2.0 <= joules / seconds <= 4.0


def test_a_source_that_stops_answering_is_an_error():
    def gone():
        msg = "meter unplugged"
        raise power.PowerError(msg)

    with pytest.raises(power.PowerError, match="meter unplugged"):
        power.Sampled("meter", gone).measure(lambda: time.sleep(0.01))


def test_the_callers_own_error_goes_through_and_the_thread_ends():
    with pytest.raises(ZeroDivisionError):
        power.Sampled("meter", lambda: 1.0).measure(lambda: 1 / 0)


@pytest.mark.parametrize(
    ("files", "watts"),
    [({"power1_input": 2_500_000}, 2.5), ({"curr1_input": 500, "in1_input": 5000}, 500 * 5000 / 1e6)],
)
def test_an_ina_by_hwmon_tells_power_or_current_and_voltage(tmp_path, files, watts):
    chip = "sys/class/hwmon/hwmon3"
    tree(tmp_path, **{"sys/class/hwmon/hwmon0/name": "cpu_thermal", f"{chip}/name": "ina226"})
    assert power.hwmon(tmp_path) is None
    source = power.hwmon(tree(tmp_path, **{f"{chip}/{name}": value for name, value in files.items()}))
    assert (source.name, source.watts()) == ("ina226 by hwmon", pytest.approx(watts))


@pytest.mark.parametrize(
    ("files", "watts"),
    [({"power_now": -7_000_000}, 7.0), ({"current_now": 1_500_000, "voltage_now": 4_000_000}, 1.5 * 4.0)],
)
def test_a_battery_tells_only_while_it_discharges(tmp_path, files, watts):
    place = "sys/class/power_supply/BAT0"
    tree(tmp_path, **{f"{place}/type": "Battery", f"{place}/status": "Charging"})
    tree(tmp_path, **{f"{place}/{name}": value for name, value in files.items()})
    assert power.battery(tmp_path) is None
    source = power.battery(tree(tmp_path, **{f"{place}/status": "Discharging"}))
    assert source.name == "battery gauge BAT0 (the whole machine)"
    assert source.watts() == pytest.approx(watts)
    (tmp_path / place / next(iter(files))).write_text("")
    with pytest.raises(power.PowerError, match="cannot be read any more"):
        source.watts()


def program(folder, name, script):
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


PI5 = (
    "3V7_WL_SW_A current(0)=0.10000000A\\n   VDD_CORE_A current(7)=2.00000000A\\n"
    "3V7_WL_SW_V volt(8)=3.70000000V\\n   VDD_CORE_V volt(15)=0.75000000V\\n     EXT5V_V volt(24)=5.15000000V"
)


def test_a_pi_5_adds_the_rails_that_tell_both(tmp_path, monkeypatch):
    program(tmp_path, "vcgencmd", f"import sys; assert sys.argv[1:] == ['pmic_read_adc']; print('''{PI5}''')")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert power.pmic().watts() == pytest.approx(0.1 * 3.7 + 2.0 * 0.75)
    assert "not the whole supply" in power.pmic().name


def test_an_older_pi_has_no_power_chip_to_ask(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert power.pmic() is None
    program(tmp_path, "vcgencmd", "print('error=1 error_msg=\"Command not registered\"')")
    assert power.pmic() is None


def test_a_commands_last_number_is_the_watts(tmp_path):
    meter = program(tmp_path, "meter", "import sys; print('5.02 V', sys.argv[1], '1.25e1W')")
    assert power.command_source(f"{meter} 'two words'").watts() == 12.5


@pytest.mark.parametrize(
    ("script", "message"),
    [("print('no idea')", "must print watts, got no number"), ("raise SystemExit(3)", "exit status 3")],
)
def test_a_command_that_tells_no_watts_is_refused(tmp_path, script, message):
    with pytest.raises(power.PowerError, match=message):
        power.command_source(str(program(tmp_path, "meter", script)))


@pytest.mark.parametrize("line", ["/nowhere/meter", ""])
def test_a_command_that_is_not_there_is_refused(line):
    with pytest.raises(power.PowerError, match="cannot be run"):
        power.command_source(line)


def test_the_sensor_of_the_supply_comes_before_the_parts_own_counters(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert power.find_source(tmp_path) is None
    assert isinstance(power.find_source(rapl(tmp_path, 5)), power.Rapl)
    chip = "sys/class/hwmon/hwmon1"
    assert (
        power.find_source(tree(tmp_path, **{f"{chip}/name": "ina260", f"{chip}/power1_input": 1})).name
        == "ina260 by hwmon"
    )
