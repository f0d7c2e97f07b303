import pytest

from edge_runner import environment, heat

FLAGS = "sys/devices/platform/soc/soc:firmware/get_throttled"
COUNT = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
ZONE = "sys/class/thermal/thermal_zone0"


def put(root, path, content):
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"{content}\n")


def test_throttling_that_is_on_counts(tmp_path):
    put(tmp_path, FLAGS, "0")
    watch = heat.Watch(tmp_path)
    assert not watch.throttled()
    put(tmp_path, FLAGS, "50005")
    assert watch.throttled()


def test_throttling_that_came_and_went_counts_once(tmp_path):
    put(tmp_path, FLAGS, "0")
    watch = heat.Watch(tmp_path)
    put(tmp_path, FLAGS, "40000")
    assert [watch.throttled(), watch.throttled()] == [True, False]


def test_throttling_that_was_over_before_does_not_count(tmp_path):
    put(tmp_path, FLAGS, "0x50000")
    assert not heat.Watch(tmp_path).throttled()


def test_cores_that_count_their_throttling_are_asked(tmp_path):
    put(tmp_path, COUNT, 7)
    watch = heat.Watch(tmp_path)
    assert not watch.throttled()
    put(tmp_path, COUNT, 8)
    assert [watch.throttled(), watch.throttled()] == [True, False]


def test_a_machine_that_tells_nothing_is_never_throttled(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not heat.Watch(tmp_path).throttled()
    put(tmp_path, FLAGS, "what")
    assert not heat.Watch(tmp_path).throttled()


def warm(root, celsius, zone=ZONE):
    put(root, f"{zone}/temp", int(celsius * 1000))


def test_without_being_asked_it_does_not_rest(tmp_path):
    assert heat.rest(None, None, str, root=tmp_path, sleep=pytest.fail) == 0


def test_it_rests_as_long_as_asked(tmp_path):
    slept = []
    assert heat.rest(2.5, None, str, root=tmp_path, sleep=slept.append) == 2.5
    assert slept == [1, 1, 0.5]


def test_it_rests_until_it_is_cool(tmp_path):
    warm(tmp_path, 60)
    told = []

    def sleep(seconds):
        warm(tmp_path, environment.hottest(tmp_path) - 4)

    assert heat.rest(None, 50, told.append, root=tmp_path, sleep=sleep) == 3
    assert told[0] == "resting: 60 °C, 300 s left"


def test_it_does_not_rest_for_ever(tmp_path):
    warm(tmp_path, 90)
    assert heat.rest(4, 50, str, root=tmp_path, sleep=lambda seconds: None) == 4
    assert heat.rest(None, 50, str, root=tmp_path, sleep=lambda seconds: None) == heat.MOST_REST_SECONDS


def test_without_a_sensor_there_is_no_temperature_to_wait_for(tmp_path):
    assert heat.rest(None, 50, str, root=tmp_path, sleep=pytest.fail) == 0
    assert heat.rest(2, 50, str, root=tmp_path, sleep=lambda seconds: None) == 2


def test_cores_and_zones_are_told_one_by_one(tmp_path):
    for core, (governor, khz) in enumerate([("performance", 1500), ("powersave", 2400)]):
        put(tmp_path, f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor", governor)
        put(tmp_path, f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq", khz)
    warm(tmp_path, 41.5)
    put(tmp_path, f"{ZONE}/type", "cpu-thermal")
    warm(tmp_path, 55, "sys/class/thermal/thermal_zone1")
    found = environment.changing(tmp_path)
    assert (found["governor"], found["governors"]) == ("performance", ["performance", "powersave"])
    assert (found["frequency_hz"], found["frequencies_hz"]) == (1_500_000, [1_500_000, 2_400_000])
    assert found["temperature_celsius"] == 55
    assert found["temperatures_celsius"] == {"0 cpu-thermal": 41.5, "1": 55.0}


def test_cores_that_agree_have_one_governor(tmp_path):
    for core in (0, 1):
        put(tmp_path, f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor", "ondemand")
    assert environment.changing(tmp_path)["governors"] is None
