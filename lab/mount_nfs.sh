#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mount.nfs of the lab: binds a FlexVol's directory where NFS would mount it.
# Called by mount(8) as: mount.nfs SPEC DIRECTORY [-sfnvh] [-o OPTIONS].
# @EXPORTS@ lists the exports, one a line: SPEC, a tab, the directory.
# Messages and exit codes are those of nfs-utils.

if [ $# -eq 0 ]; then
    # The NetApp driver probes for the helper like this.
    echo "usage: mount.nfs remotetarget dir [-rvVwfnsh] [-o nfsoptions]"
    exit 0
fi

spec=$1
target=$2
shift 2
options=
fake=
while [ $# -gt 0 ]; do
    case $1 in
        -o) options=$2; shift ;;
        -r) options=$options,ro ;;
        -f) fake=1 ;;
    esac
    shift
done

tab=$(printf '\t')
directory=
while IFS=$tab read -r export path; do
    if [ "$export" = "$spec" ]; then
        directory=$path
    fi
done <"@EXPORTS@"

if [ -z "$directory" ]; then
    echo "mount.nfs: mounting $spec failed, reason given by server: No such file or directory" >&2
    exit 32
fi
if [ ! -d "$target" ]; then
    echo "mount.nfs: mount point $target does not exist" >&2
    exit 32
fi
if [ "$(stat -c %d:%i "$target")" = "$(stat -c %d:%i "$directory")" ]; then
    echo "mount.nfs: $target is busy or already mounted" >&2
    exit 32
fi
[ -n "$fake" ] && exit 0

# -n -i: not again through a helper, and nothing written to /run/mount.
mount -n -i --bind "$directory" "$target" || exit 32
case ,$options, in
    *,ro,*) mount -n -i -o remount,bind,ro "$target" || exit 32 ;;
esac
