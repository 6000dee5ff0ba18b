#!/bin/sh
# Downloads libtorch 2.11.0 from PyPI to .libtorch/. Needs neither root, nor a GPU, nor environment variables.
# Usage: fetch.sh auto|cpu|cuda   (auto: cuda if an NVIDIA driver is present)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=$root/.libtorch
partial=$target.partial

fail() { printf 'libtorch: %s\n' "$1" >&2; exit 1; }

variant=$1
[ "$variant" != auto ] || if [ -e /proc/driver/nvidia/version ]; then variant=cuda; else variant=cpu; fi
case $variant in cpu | cuda) ;; *) fail "DEVICE is 'auto', 'cpu' or 'cuda', not '$variant'" ;; esac
[ "$(uname -sm)" = "Linux x86_64" ] || fail "these wheels are for Linux on x86-64; on other systems, set LIBTORCH to a libtorch 2.11.0 that you provide"

list=$here/$variant.txt
[ ! -e "$target/complete" ] || ! cmp -s "$list" "$target/complete" || exit 0

command -v python3 >/dev/null || fail "python3 is needed to fetch libtorch from PyPI (on Debian: apt install python3 python3-pip), or set LIBTORCH to a libtorch 2.11.0 that you provide"
python3 -m pip --version >/dev/null 2>&1 || fail "python3 has no pip (on Debian: apt install python3-pip)"

# A wheel runs with every glibc that is at least as new as its tag says, whatever version of Python is installed.
platforms="--platform manylinux2014_x86_64"
for minor in 17 18 19 20 21 22 23 24 25 26 27 28; do platforms="--platform manylinux_2_${minor}_x86_64 $platforms"; done

printf 'libtorch: fetching 2.11.0 (%s) from PyPI\n' "$variant" >&2
rm -rf "$partial"
# shellcheck disable=SC2086
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-compile --no-deps \
    --only-binary=:all: --require-hashes --python-version 3.12 $platforms --target "$partial" -r "$list" ||
    fail "pip could not install the wheels in $list: check the network (or pip's index and proxy settings), and try again"

# Remove what a C++ program does not need.
lib=$partial/torch/lib
rm -rf "$partial/torch/bin" "$partial/bin" "$lib/libtorch_python.so" "$lib/libcaffe2_nvrtc.so"
find "$partial/torch" -name '*.py' -delete
if [ "$variant" = cpu ]; then
    rm -f "$lib"/libtorch_cuda*.so "$lib/libtorch_nvshmem.so"
    # The original libtorch.so only loads libtorch_cuda; replace it by an empty library.
    cc=$(command -v cc || command -v gcc) || fail "a C compiler is needed (on Debian: apt install g++)"
    echo | "$cc" -shared -fPIC -nostdlib -Wl,-soname,libtorch.so -x c - -o "$lib/libtorch.so"
fi
cp "$list" "$partial/complete"
rm -rf "$target"
mv "$partial" "$target"
printf 'libtorch: ready in %s\n' "$target" >&2
