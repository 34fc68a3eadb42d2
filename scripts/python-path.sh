# Where Python finds scipy, if scripts/dependencies could not install it, because that would exclude Boost 1.81.
# To be sourced with `here` set to the folder of this file.
python_packages=$here/../build/python/usr/lib/python3/dist-packages
export PYTHONPATH="$python_packages${PYTHONPATH:+:$PYTHONPATH}"
