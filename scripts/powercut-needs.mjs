/**
 * What rehearsing power cuts takes, on Debian: the package by the program or file that it brings. test/powercut compiles a file
 * system in user space, and mounts a real one on it.
 */
export const POWERCUT_NEEDS = {
  gcc: "gcc",
  "pkg-config": "pkg-config",
  fusermount3: "fuse3",
  "mkfs.ext4": "e2fsprogs",
  losetup: "mount",
  // What no program stands for: headers.
  "/usr/include/stdlib.h": "libc6-dev",
  "/usr/include/fuse3/fuse.h": "libfuse3-dev",
};
