//! The members of a seccomp profile as engines keep it on disk.

use super::{Property, Shape, applied, scalar, scalars};

/// `/linux/seccomp` and what engines add to it.
///
/// Reference: containers-common, `seccomp.json`; Moby, `default.json`.
pub const ENGINE_PROFILE: Shape = Shape::Object(&[
    scalar("$schema"),
    scalar("comment"),
    scalar("defaultAction").required(),
    scalar("defaultErrnoRet"),
    scalar("defaultErrno"),
    scalars("architectures"),
    applied("archMap", Shape::List(&ARCHITECTURE)),
    scalars("flags"),
    scalar("listenerPath"),
    scalar("listenerMetadata"),
    applied("syscalls", Shape::List(&SYSCALL)),
]);

const ARCHITECTURE: Shape =
    Shape::Object(&[scalar("architecture").required(), scalars("subArchitectures")]);

const SYSCALL: Shape = Shape::Object(&[
    scalar("name"),
    scalars("names"),
    scalar("action").required(),
    scalar("errnoRet"),
    scalar("errno"),
    applied("args", Shape::List(&ARGUMENT)),
    scalar("comment"),
    applied("includes", Shape::Object(CONDITION)),
    applied("excludes", Shape::Object(CONDITION)),
]);

const CONDITION: &[Property] = &[scalars("caps"), scalars("arches"), scalar("minKernel")];

const ARGUMENT: Shape = Shape::Object(&[
    scalar("index").required(),
    scalar("value").required(),
    scalar("valueTwo"),
    scalar("op").required(),
    scalar("comment"),
]);
