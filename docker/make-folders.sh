#!/bin/sh
# Makes the folders of the host that services write to, each its service's alone. Needs root.
#
#   make-folders.sh FOLDER      docker/data, or what POLYSPACE_DATA in docker/.env names
set -eu
folder=${1:?usage: make-folders.sh FOLDER}
install --directory --mode=0711 "$folder"
install --directory --mode=0700 --owner=10001 --group=10001 "$folder/objects" "$folder/proxy"
install --directory --mode=0700 --owner=999 --group=999 "$folder/backups"
