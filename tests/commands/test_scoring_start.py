"""Help, mistakes and missing files of the scoring commands are answered before anything that computes is imported."""

from __future__ import annotations

import subprocess
import sys
import textwrap

HEAVY = ("torch", "cv2", "matplotlib", "numpy")
CASES = {
    "tar_far": (["--features", "none.bin", "--labels", "none.txt"], ["--far", "2"]),
    "identification": (["--features", "none.bin", "--labels", "none.txt"], ["--rank", "0"]),
    "ijb": (["--protocol", "ijbc", "--meta", ".", "--features", "none.bin"], ["--fpir", "1"]),
    "verification": (["--features", "none.bin", "--issame", "none.txt"], ["--far", "1"]),
}


def test_nothing_heavy_is_imported_before_the_arguments_are_good(tmp_path):
    code = f"""
        import importlib, sys
        from lwface.base.errors import UserError
        for name, (flags, wrong) in {CASES!r}.items():
            main = importlib.import_module("lwface.commands." + name).main
            ends = []
            for given in (["--help"], ["--nonsense"], flags, [*flags, *wrong]):
                try:
                    main(given)
                except (SystemExit, OSError, UserError) as error:
                    ends.append(type(error).__name__)
            assert ends[:3] == ["SystemExit", "SystemExit", "FileNotFoundError"], (name, ends)
            assert ends[3] in ("SystemExit", "UserError"), (name, ends)
            loaded = [module for module in {HEAVY!r} if module in sys.modules]
            assert not loaded, (name, loaded)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
