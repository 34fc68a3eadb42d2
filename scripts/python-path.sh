# Where Python finds scipy: scripts/dependencies unpacks Debian's package here, because installed it would exclude Boost 1.81.
# To be sourced with `here` set to the folder of this file.
python_packages=$here/../build/python/usr/lib/python3/dist-packages
export PYTHONPATH="$python_packages${PYTHONPATH:+:$PYTHONPATH}"
