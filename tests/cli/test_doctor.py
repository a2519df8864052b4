import json
from dataclasses import replace

import pytest

import singulab as sl
from singulab.cli import doctor, main


def report(capsys, *flags):
    code = main.main(["doctor", "--json", *flags])
    return code, json.loads(capsys.readouterr().out)


def verdicts(data):
    return {finding["subject"]: finding["verdict"] for finding in data["findings"]}


def test_a_sound_machine_passes_with_its_versions(capsys, tmp_path):
    code, data = report(capsys, "--run", str(tmp_path / "runs" / "new"))
    assert code == 0
    assert data["passed"]
    assert {"torch", "vmap of gradients", "run folder", "extra cli"} <= set(verdicts(data))
    assert data["environment"]["packages"]["torch"].startswith("2.")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_no_fault_and_names_the_command(capsys, monkeypatch):
    real = doctor.installed
    monkeypatch.setattr(
        doctor, "installed", lambda name: None if name == "datasets" else real(name)
    )
    code, data = report(capsys)
    assert code == 0
    missing = next(f for f in data["findings"] if f["subject"] == "extra hf")
    assert missing["verdict"] == "missing"
    assert missing["advice"] == "pip install 'singulab[hf]'"


def test_a_core_package_that_does_not_import_is_broken(capsys, monkeypatch):
    def fail(name):
        if name == "zarr":
            raise ImportError("no zarr here")
        return name

    monkeypatch.setattr(doctor.importlib, "import_module", fail)
    findings = {f.subject: f for f in doctor._dependencies()}
    assert findings["zarr"].verdict == "broken"
    assert "no zarr here" in findings["zarr"].found
    assert findings["zarr"].advice.startswith("pip install 'zarr")


def test_a_version_outside_the_tested_range_is_said(monkeypatch):
    monkeypatch.setattr(doctor, "installed", lambda name: "1.0" if name == "torch" else "9999.0")
    findings = {f.subject: f for f in doctor._dependencies()}
    assert findings["torch"].verdict == "untested"
    assert findings["numpy"].verdict == "ok"


def test_a_sampler_that_is_off_is_found(monkeypatch):
    real = sl.measure

    def biased(*args, **options):
        measured = real(*args, **options)
        return replace(measured, llc=replace(measured.llc, value=measured.llc.value * 1.5))

    monkeypatch.setattr(sl, "measure", biased)
    with pytest.raises(ArithmeticError, match="not 1.8"):
        doctor._measurement()


@pytest.mark.parametrize("fault", ["_vmap", "_double", "_autocast", "devices", "_measurement"])
def test_broken_arithmetic_exits_1(capsys, monkeypatch, fault):
    def broken():
        raise ArithmeticError("gradients are off")

    monkeypatch.setattr(doctor, fault, broken)
    code, data = report(capsys)
    assert code == 1
    assert list(verdicts(data).values()).count("broken") == 1


def test_a_run_folder_that_cannot_be_made_exits_1(capsys, tmp_path):
    (tmp_path / "file").write_text("in the way")
    code, data = report(capsys, "--run", str(tmp_path / "file" / "runs"))
    assert code == 1
    assert verdicts(data)["run folder"] == "broken"
