# shellcheck shell=bash disable=SC2034
# Functions that the scripts in this folder share. To be sourced.

# die prints what is wrong and ends the script.
die() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

# scratch makes the folder $work. At the end of the script the folder is deleted, and everything that was started is stopped.
scratch() {
  work=$(mktemp -d)
  trap clean_up EXIT
}
clean_up() {
  local job
  for job in $(jobs -p); do kill "$job" 2>/dev/null || true; done
  wait # what still runs may have files in the folder
  rm -rf "$work"
}

# manifests prints the path of each action.yml in the checkout here: the repository's own, and that of each other command.
manifests() { printf '%s\n' action.yml */action.yml; }

# name_image has each action.yml in the checkout here name an image, in place of the Dockerfile that builds it.
name_image() {
  local file
  for file in $(manifests); do
    sed -i -E "s|^  image: (\.\./)?Dockerfile\$|  image: docker://$1|" "$file"
    [ "$(image_of "$file")" = "$1" ] || die "$file does not name the image $1"
  done
}

# image_of prints the image that an action.yml names.
image_of() { sed -n 's|^  image: docker://||p' "$1"; }

# serve starts the simulated API on loopback with the flags given, and sets endpoint and token.
serve() {
  go build -o "$work/demo" ./internal/demo
  : >"$work/api.log"
  "$work/demo" -serve 127.0.0.1:0 "$@" >"$work/api.log" 2>&1 &
  endpoint=
  for _ in $(seq 100); do
    endpoint=$(sed -n 's/.*HCLOUD_ENDPOINT=//p' "$work/api.log")
    [ -z "$endpoint" ] || break
    sleep 0.1
  done
  [ -n "$endpoint" ] || die "the simulated API did not start: $(cat "$work/api.log")"
  token=$(sed -n 's/.*HCLOUD_TOKEN=//p' "$work/api.log")
}

# serve_tls serves the same API over TLS to containers with a network of their own. It sets tls_endpoint, and writes the
# certificate to the file given.
serve_tls() {
  local address port=
  address=$(docker network inspect bridge -f '{{(index .IPAM.Config 0).Gateway}}')
  # Some engines name a gateway only where one was set by hand.
  [ -n "$address" ] || address=$(ip -4 -o addr show docker0 | awk '{ sub("/.*", "", $4); print $4; exit }')
  go build -o "$work/tls" ./.ci/tls
  : >"$work/tls.log"
  "$work/tls" "$address" "$endpoint" "$1" >"$work/tls.log" 2>&1 &
  for _ in $(seq 100); do
    port=$(head -n 1 "$work/tls.log")
    [ -z "$port" ] || break
    sleep 0.1
  done
  [[ $port =~ ^[0-9]+$ ]] || die "TLS is not served: $(cat "$work/tls.log")"
  tls_endpoint=https://$address:$port/v1
}

# tool runs a Go tool in the version that its module in .ci/tools names. Each tool has a module of its own, because they
# need different versions of the same modules.
tool() { go tool -modfile=".ci/tools/$1/go.mod" "$@"; }
