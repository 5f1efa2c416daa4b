#!/bin/sh
# Installs what training needs (Debian packages, when missing), then trains.
# Arguments go to train_fashion_mnist.py: [output.safetensors] [--epochs N] ...
set -eu
here=$(cd "$(dirname "$0")" && pwd)

missing=
for package in python3-torch dataset-fashion-mnist; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
    missing="$missing $package"
done
if [ -n "$missing" ]; then
  as_root=
  [ "$(id -u)" -eq 0 ] || as_root=sudo
  $as_root apt-get update -qq
  # shellcheck disable=SC2086  # one word per package is meant
  $as_root apt-get install -y --no-install-recommends $missing
fi

# Debian's own python3: another one on PATH would not see Debian's torch.
# niceness 10: training yields to whatever else the machine is doing.
exec nice -n 10 /usr/bin/python3 "$here/train_fashion_mnist.py" "$@"
