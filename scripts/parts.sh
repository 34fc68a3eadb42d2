# What the scripts share: sourced by all of them.

# help ARGUMENT...: -h and --help print the comment at the top of the script, and end it.
help() {
  case " $* " in
    *" -h "* | *" --help "*) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$(cd "$OLDPWD" && readlink -f "$0")"; exit ;;
  esac
}

# no_options ARGUMENT...: for a script that has none.
no_options() {
  help "$@"
  [ $# -eq 0 ] || { echo "${0##*/}: unknown option '$1'; there is --help" >&2; exit 2; }
}

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
