//! Drives the built binary on the real kernel. One module per subject; run as root.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod cgroups;
#[cfg(test)]
mod checkpoint;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod delete;
#[cfg(test)]
mod descriptors;
#[cfg(test)]
mod devices;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod engines;
#[cfg(test)]
mod events;
#[cfg(feature = "fault")]
#[cfg(test)]
mod every_step;
#[cfg(test)]
mod exceptions;
#[cfg(test)]
mod exec;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod groups_v1;
#[cfg(feature = "fault")]
#[cfg(test)]
mod hardened;
#[cfg(test)]
mod home;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod hostile_bundle;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod killed_groups;
#[cfg(test)]
mod labels;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod mount_ns;
#[cfg(test)]
mod mounts_locked;
#[cfg(test)]
mod mounts_options;
#[cfg(test)]
mod mounts_places;
#[cfg(test)]
mod netdevices;
#[cfg(test)]
mod notification;
#[cfg(test)]
mod only_execve;
#[cfg(test)]
mod options;
#[cfg(test)]
mod overlay;
#[cfg(test)]
mod overlay_runs;
#[cfg(test)]
mod pause;
#[cfg(test)]
mod pods;
#[cfg(test)]
mod pods_pinned;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod process_properties;
#[cfg(test)]
mod resctrl;
#[cfg(test)]
mod resources;
#[cfg(test)]
mod rootfs;
#[cfg(test)]
mod rootfs_shift;
#[cfg(test)]
mod rootless;
#[cfg(test)]
mod seccomp_baseline;
#[cfg(test)]
mod seccomp_cli;
#[cfg(test)]
mod seccomp_compiler;
#[cfg(test)]
mod seccomp_notify;
#[cfg(test)]
mod seccomp_record;
#[cfg(test)]
mod seccomp_round_trip;
#[cfg(test)]
mod selinux;
#[cfg(test)]
mod support;
#[cfg(test)]
mod systemd;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod time_ns;
#[cfg(test)]
mod try_out;
#[cfg(test)]
mod update;
