#!/usr/bin/env bash
# onnxruntime 1.31.1 keeps telemetry under HOME as soon as it is imported, and its own call to stop it comes too late.
#
# `import onnxruntime` alone makes ~/.cache/Microsoft/DeveloperTools/.onnxruntime with deviceid, an identifier of the
# machine, and onnxruntime.db, an SQLite queue of events that are to be sent. The documented way in Python,
# onnxruntime.disable_telemetry_events(), can only be called after that. The environment variable ORT_DISABLE_TELEMETRY=1
# (Privacy.md in the package) prevents both files, if it is set before the import; from within the program is early enough.
#
# Seen on Linux x86-64 with Python 3.11, files left in an empty HOME:
#   import alone:                          deviceid onnxruntime.db
#   a session:                             deviceid onnxruntime.db
#   disable_telemetry_events(), session:   deviceid onnxruntime.db
#   variable set after import, session:    deviceid onnxruntime.db
#   variable set before import, session:   none
#   variable set outside, session:         none
#
# Exit status 0: as described; 1: something of that changed; others: something could not be installed or run.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset ORT_DISABLE_TELEMETRY XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME
python3.11 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check onnxruntime==1.31.1 onnx==1.23.2 numpy==2.4.6
cat > make.py << 'PYTHON'
import onnx
from onnx import TensorProto, helper

x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "graph", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
onnx.save(model, "model.onnx")
PYTHON
venv/bin/python make.py
session='s = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
import numpy; assert s.run(None, {"x": numpy.ones(1, "float32")})[0] == 2'
variable='import os; os.environ["ORT_DISABLE_TELEMETRY"] = "1"'
changed=0
try() { # NAME EXPECTED CODE: what CODE leaves in a HOME of its own
    home=$(mktemp -d -p "$work")
    HOME=$home venv/bin/python -c "$3" || exit 2
    left=$(find "$home" -type f ! -name '*.db-*' -printf '%f\n' | sort | paste -sd' ')
    printf '%-38s %s\n' "$1:" "${left:-none}"
    [ "${left:-none}" = "$2" ] || changed=1
}
kept="deviceid onnxruntime.db"
try "import alone" "$kept" "import onnxruntime"
try "a session" "$kept" "import onnxruntime; $session"
try "disable_telemetry_events(), session" "$kept" "import onnxruntime; onnxruntime.disable_telemetry_events(); $session"
try "variable set after import, session" "$kept" "import onnxruntime; $variable; $session"
try "variable set before import, session" none "$variable; import onnxruntime; $session"
export ORT_DISABLE_TELEMETRY=1
try "variable set outside, session" none "import onnxruntime; $session"
if [ "$changed" = 1 ]; then
    echo CHANGED
    exit 1
fi
echo "as described"
