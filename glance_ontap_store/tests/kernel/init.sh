#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The first process of the kernel. Its root is the host's, which stays as it is: the
# unpacked packages lie over it, and all changes go to memory.
#
# KERNEL_SYSTEM: the unpacked packages. KERNEL_JOB: the directory of the job, with the
# script "run"; its exit status goes to "rc" there.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8
release=$(uname -r)
modules=$KERNEL_SYSTEM/usr/lib/uml/modules/$release

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=755 stage /mnt
mkdir /mnt/{up,work,root,system}
# kmod is a program of many names. The host may have none of them.
ln -s "$KERNEL_SYSTEM/usr/bin/kmod" /mnt/insmod
[ -e /mnt/insmod ] || ln -sf "$(command -v kmod)" /mnt/insmod
LD_LIBRARY_PATH=$(echo "$KERNEL_SYSTEM"/usr/lib/*-linux-gnu) \
    /mnt/insmod "$modules/kernel/fs/overlayfs/overlay.ko"
# One layer must not lie in the other: the packages are mounted once more.
mount -t hostfs -o "$KERNEL_SYSTEM" system /mnt/system
mount -t overlay -o lowerdir=/mnt/system:/,upperdir=/mnt/up,workdir=/mnt/work \
    overlay /mnt/root || exit 1

root=/mnt/root
mkdir -p $root/usr/lib/modules $root/job $root/old
ln -s "/usr/lib/uml/modules/$release" "$root/usr/lib/modules/$release"
for name in proc sys dev; do mount -n --move /$name $root/$name; done
mkdir -p $root/dev/pts $root/dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts $root/dev/pts
mount -t tmpfs shm $root/dev/shm
mount -t tmpfs -o mode=755 run $root/run
mount -t hostfs -o "$KERNEL_JOB" job $root/job
cd $root
# A chroot would not do: udev refuses to work in one.
pivot_root . old
umount -l /old
ln -sf /proc/self/mounts /etc/mtab
ldconfig
ip link set lo up
hostname kernel
echo "127.0.0.1 localhost kernel" > /etc/hosts
bash /job/run
echo $? > /job/rc
sync
echo 1 > /proc/sys/kernel/sysrq
echo o > /proc/sysrq-trigger
sleep 60
