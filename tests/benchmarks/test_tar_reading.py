"""The comparison of readers on a tar of few frames."""

import sys

import tar_reading


def test_every_reader_is_told(tmp_path, monkeypatch, capsys):
    flags = ["--frames", "250", "--reads", "20", "--rounds", "1", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["tar_reading.py", *flags])
    tar_reading.main()
    out = capsys.readouterr().out
    assert out.startswith("250 frames, ")
    for name in ("ours", "tarfile", "tarfile, members at hand", "loose files"):
        assert f"\n{name:26}" in out
    assert list(tmp_path.iterdir()) == []
