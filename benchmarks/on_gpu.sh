#!/usr/bin/env bash
# Runs all that needs a GPU, and prints card and figures as Markdown for benchmarks/README.md.
#
# usage: [PYTHON=python3] [WHEELS=folder] bash benchmarks/on_gpu.sh
#
# For a bare machine with one GPU, Python 3.11 or later and torch, with or without a network. The
# package is used from this checkout. What else is missing is installed with pip into a folder that
# is removed afterwards: from the wheels in $WHEELS where that is given, else from the index that
# pip is set to. Takes at most 8 minutes. The exit code is 1 if a test fails, a figure is above its
# bound, or something is missing; 0 where there is no CUDA device.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-python3}
WHEELS=${WHEELS:-}
SECONDS=0
END=465
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export PYTHONPATH="$PWD:$folder/site${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

has() { "$PYTHON" -c "import importlib.util, sys; sys.exit(not importlib.util.find_spec('$1'))"; }

# Runs a command in what is left of the time, but for so many seconds that others need.
within() {
  local left=$((END - SECONDS - $1))
  shift
  if ((left < 10)); then
    echo "There was no time left for: $*"
    return 1
  fi
  timeout --kill-after=5 "$left" "$@"
}

if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "Python 3.11 or later is needed; $PYTHON is $("$PYTHON" --version 2>&1). Set PYTHON." >&2
  exit 1
fi
if ! has torch; then
  echo "torch is not installed for $PYTHON: install it with CUDA, or set PYTHON." >&2
  exit 1
fi
if ! "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
  echo "There is no CUDA device here: nothing was run."
  exit 0
fi

# The last line is what the others need themselves.
missing=()
for package in numpy scipy scikit-learn:sklearn joblib threadpoolctl \
  array-api-compat:array_api_compat pytest hypothesis \
  iniconfig narwhals packaging pluggy pygments sortedcontainers; do
  has "${package#*:}" || missing+=("${package%:*}")
done
if ((${#missing[@]})); then
  from=()
  [[ -z $WHEELS ]] || from=(--no-index --find-links "$WHEELS")
  echo "Installing ${missing[*]}." >&2
  # Of what they need, pip would bring a second numpy.
  if ! within 300 "$PYTHON" -m pip install --quiet --no-deps --retries 1 --timeout 10 \
    --target "$folder/site" "${from[@]}" "${missing[@]}" >&2; then
    echo "Missing, and pip could not install them: ${missing[*]}. Put their wheels into a folder" \
      "and name it in WHEELS." >&2
    exit 1
  fi
fi

failed=0
echo "### $(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1 ||
  echo "A CUDA device")"
echo
"$PYTHON" - <<'PYTHON_CODE'
import platform, subprocess, numpy, sklearn, torch

try:
    query = ["nvidia-smi", "--query-gpu=driver_version,memory.total", "--format=csv,noheader"]
    driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split("\n")[0]
except (OSError, subprocess.CalledProcessError):
    driver = "unknown"
print(f"{torch.cuda.get_device_name()}, driver and memory {driver}, torch {torch.__version__}, "
      f"CUDA {torch.version.cuda}, numpy {numpy.__version__}, scikit-learn {sklearn.__version__}, "
      f"Python {platform.python_version()}.")
PYTHON_CODE

echo
echo "The tests that need a CUDA device:"
echo
echo '```text'
# By file, since the page tests beside them need more packages; without the root's conftest.py too.
mapfile -t files < <(grep -rl --include='test_*.py' -i cuda tests)
within 240 "$PYTHON" -m pytest -q --confcutdir=tests -p no:cacheprovider --tb=short \
  -W ignore::DeprecationWarning -W ignore::FutureWarning \
  -k "cuda or to_the_host" "${files[@]}" || failed=1
echo '```'

echo
echo "\`python benchmarks/cuda_search.py\`:"
echo
within 60 "$PYTHON" benchmarks/cuda_search.py || failed=1

if has open_clip; then
  echo
  echo "\`python benchmarks/encoder_throughput.py --device cuda --pictures 64 --rounds 3\`:"
  echo
  within 0 "$PYTHON" benchmarks/encoder_throughput.py --device cuda --pictures 64 --rounds 3 ||
    failed=1
else
  echo
  echo "open_clip is not installed here, so the encoder was not measured."
fi
echo
echo "All of it took $SECONDS s."
exit "$failed"
