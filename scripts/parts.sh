# For scripts that do their work in parts: sourced by quickstart and test.

# part NAME COMMAND...: says what begins, and how long it took; a failure ends the script and names its part.
part() {
  local name=$1 begun=$SECONDS status=0
  shift
  printf '\n== %s\n' "$name"
  "$@" || status=$?
  if [ "$status" -ne 0 ]; then
    printf '== %s: failed after %d s, status %d\n' "$name" $((SECONDS - begun)) "$status" >&2
    exit "$status"
  fi
  printf '== %s: %d s\n' "$name" $((SECONDS - begun))
}
